// One sweep as the server tells it, and which of its trials are wanted.

export class Sweep {
  constructor(told) {
    Object.assign(this, told);
    this.id = told.about.sweep;
    this.size = told.trials.trial.length;
    this.wanted = new Uint8Array(this.size).fill(1);
    this.across = Object.keys(told.about.goals).find((goal) => told.about.goals[goal] === "minimize");
    this.up = Object.keys(told.about.goals).find((goal) => goal !== this.across) ?? this.across;
  }

  column(name) {
    return this.metrics[name] ?? this.params[name] ?? this.trials[name];
  }

  filter({ states, front, params }) {
    const { state, on_front: standing } = this.trials;
    const tests = params.map((each) => [this.params[each.path], each]).filter(([values]) => values);
    let count = 0;
    for (let row = 0; row < this.size; row++) {
      let keep = states.has(state[row]) && (!front || standing[row]);
      for (let place = 0; keep && place < tests.length; place++) {
        const [values, { low, high, options }] = tests[place];
        const value = values[row];
        keep = options ? options.has(String(value)) : value !== null && value >= low && value <= high;
      }
      this.wanted[row] = keep ? 1 : 0;
      count += keep ? 1 : 0;
    }
    return count;
  }

  command(row) {
    return "python -m sweeps reproduce " + this.id + ":" + this.trials.trial[row] + this.about.storage_flag;
  }

  run(row) {
    return "/mlflow/" + encodeURIComponent(this.id) + "/" + this.trials.trial[row];
  }
}
