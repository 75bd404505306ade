// How values are written, and elements made. Text from a sweep becomes text nodes only.

const UNITS = {
  "compute/cost_s": "s",
  "compute/device_seconds": "s",
  "compute/bytes_moved": "B",
  "compute/peak_bytes": "B",
  "compute/train_flops": "FLOP",
  "compute/teacher_flops": "FLOP",
  "compute/teacher_flops_amortised": "FLOP",
};
const PREFIXES = [
  [1e15, "P"],
  [1e12, "T"],
  [1e9, "G"],
  [1e6, "M"],
  [1e3, "k"],
  [1, ""],
  [1e-3, "m"],
  [1e-6, "µ"],
  [1e-9, "n"],
];

export function quantity(name, value) {
  if (value === null || value === undefined) return "-";
  if (typeof value !== "number") return String(value);
  const unit = UNITS[name];
  if (!unit && name.includes("/")) return value.toFixed(3);
  if (!unit) return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(3)));
  const [scale, prefix] = PREFIXES.find(([scale]) => Math.abs(value) >= scale) ?? [1, ""];
  return Number((value / scale).toPrecision(3)) + " " + prefix + unit;
}

export function titled(name) {
  if (name === "compute/cost_s") return "compute: modelled time on the reference device [s]";
  const measured = name.startsWith("test/")
    ? " (test)"
    : name.includes("/") && !name.startsWith("compute/")
      ? " (validation)"
      : "";
  return name + measured + (UNITS[name] ? " [" + UNITS[name] + "]" : "");
}

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
