// What the reader wants to see: states, the front, ranges of numbers and picks of names.
import { element, quantity } from "./words.js";

const STATES = ["complete", "pruned", "failed", "running", "waiting"];
const MOST_OPTIONS = 12;

export class Filters {
  constructor(form, changed) {
    this.form = form;
    form.addEventListener("input", () => changed());
    form.addEventListener("reset", () => setTimeout(changed));
    form.addEventListener("submit", (event) => event.preventDefault());
    document
      .getElementById("states")
      .append(
        ...STATES.map((state) =>
          element(
            "label",
            {},
            element("input", { type: "checkbox", name: "state", value: state, checked: true }),
            " " + state,
          ),
        ),
      );
  }

  // Fields for what varies in these sweeps; what was entered before stays.
  offer(sweeps) {
    const columns = new Map();
    for (const sweep of sweeps) {
      for (const [path, values] of Object.entries(sweep.params)) {
        columns.set(path, [...(columns.get(path) ?? []), ...values.filter((value) => value !== null)]);
      }
    }
    this.fields = [...columns].map(([path, values]) => ({
      path,
      numeric: values.every((value) => typeof value === "number"),
      values,
    }));
    this.fields = this.fields.filter(({ numeric, values }) => numeric || new Set(values).size <= MOST_OPTIONS);
    const made = this.fields.map((field) => (field.numeric ? this.range(field) : this.options(field)));
    const shape = JSON.stringify(
      this.fields.map(({ path, numeric, values }) => [path, numeric || [...new Set(values)]]),
    );
    if (shape === this.shape) {
      for (const [place, fresh] of made.entries()) {
        const known = document.getElementById("params").children[place].querySelectorAll("input[type=number]");
        fresh.querySelectorAll("input[type=number]").forEach((input, number) => {
          known[number].placeholder = input.placeholder;
        });
      }
      return;
    }
    this.shape = shape;
    document.getElementById("params").replaceChildren(...made);
  }

  range({ path, values }) {
    let [low, high] = [Infinity, -Infinity];
    for (const value of values) {
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
    const end = (name, value) =>
      element("input", {
        type: "number",
        step: "any",
        name,
        "data-path": path,
        placeholder: quantity("", value),
        "aria-label": path + (name === "low" ? " at least" : " at most"),
      });
    return element(
      "fieldset",
      {},
      element("legend", {}, path),
      element("div", { class: "range" }, end("low", low), end("high", high)),
    );
  }

  options({ path, values }) {
    const labels = [...new Set(values.map(String))]
      .sort()
      .map((value) =>
        element(
          "label",
          {},
          element("input", { type: "checkbox", name: "option", "data-path": path, value, checked: true }),
          " " + value,
        ),
      );
    return element("fieldset", {}, element("legend", {}, path), ...labels);
  }

  wishes() {
    const inputs = [...this.form.querySelectorAll("input")];
    const states = new Set(inputs.filter((each) => each.name === "state" && each.checked).map((each) => each.value));
    const params = [];
    for (const { path, numeric } of this.fields ?? []) {
      const own = inputs.filter((each) => each.dataset.path === path);
      if (numeric) {
        const [low, high] = own.map((each) => (each.value === "" ? null : Number(each.value)));
        if (low !== null || high !== null) params.push({ path, low: low ?? -Infinity, high: high ?? Infinity });
      } else if (own.some((each) => !each.checked)) {
        params.push({ path, options: new Set(own.filter((each) => each.checked).map((each) => each.value)) });
      }
    }
    return { states, front: this.form.elements.front.checked, params };
  }
}
