// The page: asks the server for sweeps, again and again while one runs, and shows what is wanted of them.
import { Filters } from "./filters.js";
import { Plane } from "./plane.js";
import { Sweep } from "./sweep.js";
import { Table } from "./table.js";
import { copy, element, quantity } from "./words.js";

const EVERY_MS = 2000;
const place = (id) => document.getElementById(id);
const known = new Map(); // a sweep's id to what was last told of it, and its mark
let asked = 0;

const plane = new Plane(place("plane"), place("tip"), open, (text) => {
  place("said").textContent = text;
});
const table = new Table(place("table"), place("pages"), open, (sweep, row) => pick(sweep, row));
const filters = new Filters(place("filters"), show);

async function get(path, mark) {
  const answer = await fetch(path, { headers: mark ? { "if-none-match": mark } : {}, cache: "no-store" });
  if (answer.status === 304) return null;
  if (!answer.ok) throw new Error(await answer.text());
  return { told: await answer.json(), mark: answer.headers.get("etag") };
}

async function sweeps() {
  const { told } = await get("/api/sweeps");
  offer(told);
  return told;
}

function offer(ids, mark = "") {
  for (const select of [place("sweep"), place("other")]) {
    const there = new Set([...select.options].map((option) => option.value));
    for (const id of ids) if (!there.has(id)) select.append(element("option", { value: id }, id + mark));
  }
}

async function read(id) {
  const before = known.get(id);
  const fresh = await get("/api/sweeps/" + encodeURIComponent(id), before?.mark);
  if (!fresh) return false;
  known.set(id, { sweep: new Sweep(fresh.told), mark: fresh.mark });
  return true;
}

const chosen = () =>
  [place("sweep").value, place("other").value].filter((id, number, all) => id && all.indexOf(id) === number);
const series = () =>
  chosen()
    .map((id) => known.get(id)?.sweep)
    .filter(Boolean);

async function refresh() {
  const turn = ++asked;
  try {
    const changed = await Promise.all(chosen().map(read));
    if (turn !== asked) return;
    problem("");
    if (changed.some(Boolean)) renew();
  } catch (error) {
    if (turn === asked)
      problem(error instanceof TypeError ? "The server of this page does not answer; trying again." : error.message);
  }
}

function problem(text) {
  place("problem").hidden = !text;
  place("problem").textContent = text;
}

function renew() {
  const all = series();
  filters.offer(all);
  axes(all);
  about(all);
  show();
}

function axes(all) {
  if (!all.length) return;
  const names = [
    ...new Set(
      all.flatMap((sweep) => [
        ...Object.keys(sweep.metrics),
        ...Object.keys(sweep.params).filter(
          (path) => typeof sweep.params[path].find((value) => value !== null) === "number",
        ),
      ]),
    ),
  ];
  for (const [id, first] of [
    ["x", all[0].across ?? all[0].up],
    ["y", all[0].up],
  ]) {
    const select = place(id),
      before = select.value;
    select.replaceChildren(...names.map((name) => element("option", { value: name }, name)));
    select.value = names.includes(before) ? before : first;
  }
}

function about(all) {
  document.title = all.map((sweep) => sweep.id).join(", ") || "Sweeps";
  place("about").replaceChildren(
    ...all.map((sweep) => {
      const said = sweep.about,
        ended = said.trials.complete + said.trials.pruned + said.trials.failed;
      const facts = {
        trials:
          ended.toLocaleString("en") + (said.budget.trials ? " of " + said.budget.trials.toLocaleString("en") : ""),
        running: said.trials.running,
        complete: said.trials.complete.toLocaleString("en"),
        "stopped early": said.trials.pruned.toLocaleString("en"),
        failed: said.trials.failed,
        "on the front": sweep.trials.on_front.filter(Boolean).length,
      };
      const best = Object.entries(said.goals).map(([goal, way]) => {
        const values = (sweep.metrics[goal] ?? []).filter(
          (value, row) => value !== null && sweep.trials.state[row] === "complete",
        );
        return [
          "best " + goal,
          values.length
            ? quantity(
                goal,
                values.reduce((one, other) => (way === "minimize" ? Math.min(one, other) : Math.max(one, other))),
              )
            : "-",
        ];
      });
      const list = [...Object.entries(facts), ...best].map(([name, value]) =>
        element("div", {}, element("dt", {}, name), element("dd", {}, String(value))),
      );
      return element(
        "div",
        { class: "about" },
        element("h3", {}, sweep.id + " ", element("span", { class: "state " + said.state.split(" ")[0] }, said.state)),
        element("p", {}, said.description),
        element("dl", { class: "facts" }, ...list),
      );
    }),
  );
}

function show() {
  const all = series(),
    wishes = filters.wishes();
  const counts = all.map((sweep) => sweep.filter(wishes));
  plane.show(all, place("x").value, place("y").value, place("log").checked);
  table.show(all);
  legend(all);
  const fronts = all.map((sweep) => sweep.trials.on_front.filter((on, row) => on && sweep.wanted[row]).length);
  const said = all.map((sweep, number) => {
    const [count, size] = [counts[number], sweep.size].map((each) => each.toLocaleString("en"));
    return `${count} of ${size} trials of ${sweep.id}, ${fronts[number]} of them on its front`;
  });
  place("shown").textContent = said.join("; ") || "No sweep here yet.";
  document.documentElement.dataset.shown = String(Number(document.documentElement.dataset.shown ?? 0) + 1);
}

function legend(all) {
  const sign = (colour, kind) => {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const dot = document.createElementNS("http://www.w3.org/2000/svg", "circle");
    svg.setAttribute("aria-hidden", "true");
    for (const [name, value] of Object.entries({
      cx: 8,
      cy: 7,
      r: kind === "front" ? 5.5 : 3.5,
      class: colour + (kind === "stopped" ? " hollow" : kind === "front" ? "" : " faint"),
    }))
      dot.setAttribute(name, value);
    svg.append(dot);
    return svg;
  };
  place("legend").replaceChildren(
    ...all.flatMap((sweep, number) => {
      const colour = number ? "second" : "first",
        whose = all.length > 1 ? " of " + sweep.id : "";
      return [
        ["front", "front"],
        ["complete", "complete"],
        ["stopped", "stopped early or under way, at full cost"],
      ].map(([kind, text]) => element("li", {}, sign(colour, kind), text + whose));
    }),
  );
}

async function pick(sweep, row) {
  const command = sweep.command(row),
    box = place("picked"),
    trial = sweep.trials.trial[row];
  const copied = await copy(command);
  const again = element("button", { type: "button", onclick: () => pick(sweep, row) }, copied ? "Copied" : "Copy");
  const run = element("a", { href: sweep.run(row), target: "_blank", rel: "noopener" }, "MLflow run");
  box.replaceChildren(
    element("p", {}, element("strong", {}, "Trial " + trial + " of " + sweep.id), run),
    element("p", {}, element("code", {}, command), again),
  );
  if (sweep.trials.failure[row])
    box.append(element("p", {}, sweep.trials.failure[row] + ": " + (sweep.trials.message[row] ?? "")));
  box.hidden = false;
}

function open(sweep, row) {
  window.open(sweep.run(row), "_blank", "noopener");
  pick(sweep, row);
}

async function more() {
  const button = place("more");
  button.disabled = true;
  button.textContent = "Asking MLflow ...";
  try {
    offer((await get("/api/mlflow")).told, " (MLflow)");
    button.textContent = "Those in MLflow are listed";
  } catch (error) {
    problem(error.message);
    button.disabled = false;
    button.textContent = "Also those in MLflow";
  }
}

for (const id of ["x", "y", "log"]) place(id).addEventListener("input", show);
for (const id of ["sweep", "other"]) {
  place(id).addEventListener("change", () => {
    history.replaceState(null, "", "#" + chosen().map(encodeURIComponent).join("+"));
    renew();
    refresh();
  });
}
place("more").addEventListener("click", more);

async function begin() {
  const ids = await sweeps().catch((error) => {
    problem(error.message);
    return [];
  });
  const [first, second] = location.hash.slice(1).split("+").map(decodeURIComponent);
  for (const [id, wish] of [
    ["sweep", first || ids[0] || ""],
    ["other", second || ""],
  ]) {
    if (wish && ![...place(id).options].some((option) => option.value === wish)) offer([wish]);
    place(id).value = wish;
  }
  if (!ids.length && !first) renew();
  await refresh();
  setInterval(() => {
    if (!document.hidden) {
      refresh();
      sweeps().catch(() => {});
    }
  }, EVERY_MS);
}

begin();
