// Trials as a table: a page of rows at a time, sorted by any column.
import { element, quantity } from "./words.js";

const ROWS = 50;

export class Table {
  constructor(table, pages, opened, copied) {
    Object.assign(this, { table, pages, opened, copied, order: null, down: false, page: 0, series: [] });
  }

  show(series) {
    this.series = series;
    const names = new Set();
    for (const sweep of series) {
      for (const goal of Object.keys(sweep.about.goals)) {
        names.add(goal);
        if (sweep.metrics["test/" + goal]) names.add("test/" + goal);
      }
      Object.keys(sweep.params).forEach((path) => names.add(path));
    }
    this.names = ["trial", "state", "fidelity", ...names];
    if (!this.names.includes(this.order))
      [this.order, this.down] = [series[0]?.up ?? "trial", series[0]?.about.goals[series[0]?.up] === "maximize"];
    this.draw();
  }

  draw() {
    const rows = [];
    this.series.forEach((sweep, place) => {
      const values = sweep.column(this.order);
      for (let row = 0; row < sweep.size; row++)
        if (sweep.wanted[row]) rows.push({ sweep, place, row, value: values ? values[row] : null });
    });
    const way = this.down ? -1 : 1;
    rows.sort((one, other) => {
      if (one.value === other.value) return one.row - other.row;
      if (one.value === null || one.value === undefined) return 1;
      if (other.value === null || other.value === undefined) return -1;
      return (one.value < other.value ? -1 : 1) * way;
    });
    const last = Math.max(0, Math.ceil(rows.length / ROWS) - 1);
    this.page = Math.min(this.page, last);
    this.table.tHead.replaceChildren(this.head());
    const shown = rows.slice(this.page * ROWS, (this.page + 1) * ROWS);
    this.table.tBodies[0].replaceChildren(...shown.map((each) => this.row(each)));
    const turn = (name, by, able) =>
      element(
        "button",
        {
          type: "button",
          disabled: !able,
          onclick: () => {
            this.page += by;
            this.draw();
          },
        },
        name,
      );
    const from = rows.length ? this.page * ROWS + 1 : 0;
    this.pages.replaceChildren(
      turn("Previous", -1, this.page > 0),
      ` ${from}–${this.page * ROWS + shown.length} of ${rows.length.toLocaleString("en")} `,
      turn("Next", 1, this.page < last),
    );
  }

  head() {
    const sort = (name) => () => {
      this.down = this.order === name ? !this.down : false;
      this.order = name;
      this.page = 0;
      this.draw();
      this.table.tHead.querySelector(`[data-name="${CSS.escape(name)}"]`)?.focus();
    };
    const heads = this.names.map((name) => {
      const way = this.order === name ? (this.down ? "descending" : "ascending") : "none";
      const mark = way === "none" ? "" : this.down ? " ▾" : " ▴";
      return element(
        "th",
        { scope: "col", "aria-sort": way },
        element("button", { type: "button", "data-name": name, onclick: sort(name) }, name + mark),
      );
    });
    return element(
      "tr",
      {},
      ...heads,
      element("th", { scope: "col" }, element("span", { class: "visually-hidden" }, "actions")),
    );
  }

  row({ sweep, row }) {
    const number = sweep.trials.trial[row];
    const cells = this.names.map((name) => {
      const value = sweep.column(name)?.[row];
      if (name === "trial")
        return element(
          "th",
          { scope: "row" },
          (this.series.length > 1 ? sweep.id + ":" : "") + number + (sweep.trials.on_front[row] ? " ●" : ""),
        );
      if (name === "fidelity") return element("td", {}, Math.round(100 * value) + " %");
      if (name === "state" && value === "failed")
        return element(
          "td",
          { title: sweep.trials.message[row] ?? "" },
          "failed: " + (sweep.trials.failure[row] ?? ""),
        );
      return element("td", {}, quantity(name, value));
    });
    const copy = element(
      "button",
      {
        type: "button",
        "aria-label": "Copy the command that reproduces trial " + number,
        onclick: () => this.copied(sweep, row),
      },
      "Copy",
    );
    const run = element(
      "a",
      { href: sweep.run(row), target: "_blank", rel: "noopener", "aria-label": "Trial " + number + " in MLflow" },
      "MLflow",
    );
    return element("tr", {}, ...cells, element("td", {}, copy, " ", run));
  }
}
