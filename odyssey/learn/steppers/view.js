// The page: goes through the list of steps, and shows the arrays after each.

const stepper = {
  options: {...data.options},
  values: structuredClone(data.values),
  count: 0, // steps that are done
  views: {},

  // Record the steps anew: after an edit, or for other options.
  compute() {
    for (const option of operation.options) {
      const allowed = option.values(this.options);
      if (!allowed.includes(this.options[option.name])) this.options[option.name] = allowed.at(-1);
    }
    this.rec = new Recorder(operation.arrays(this.options), this.values);
    operation.run(this.rec, this.options);
    this.count = Math.min(this.count, this.rec.steps.length);
  },

  // Make the tables anew: the shapes have changed.
  build() {
    const host = {
      label: (name, at) => this.rec.label(name, at),
      edit: (name, at, value) => this.edit(name, at, value),
      find: (name, at) => this.find(name, at),
      say: (text) => { page("message").textContent = text; },
      leave: () => page(this.count < this.rec.steps.length ? "next" : "back").focus(),
    };
    this.views = {};
    page("arrays").classList.toggle("wide", Boolean(operation.wide));
    page("arrays").replaceChildren(...operation.columns.map((names) => {
      const view = (name) => {
        if (!(name in this.rec.arrays)) return "";
        this.views[name] = new ArrayView(name, this.rec.arrays[name], hueOf(name), host);
        return this.views[name].node;
      };
      // A list within the list: arrays side by side.
      const nodes = names.map((name) => (
        Array.isArray(name) ? make("div", {class: "side"}, ...name.map(view)) : view(name)));
      const rows = nodes.every((node) => !node || node.classList.contains("inline"));
      return make("div", {class: `column${rows ? " rows" : ""}`}, ...nodes);
    }));
    page("note").textContent = `A value with a dotted line below can be changed. ${operation.note(this.options)}`;
    page("slider").max = this.rec.steps.length;
    this.buildStages();
    this.buildSettings();
  },

  buildStages() {
    const parts = new Map();
    this.rec.stages.forEach((stage, i) => {
      if (!parts.has(stage.part)) parts.set(stage.part, make("div", {}, make("span", {class: "part"}, stage.part)));
      const button = make("button", {type: "button", "data-stage": i}, stage.id);
      button.addEventListener("click", () => this.go(stage.first));
      parts.get(stage.part).append(button);
    });
    page("stages").replaceChildren(...parts.values());
  },

  buildSettings() {
    const focused = document.activeElement?.dataset?.option;
    page("settings").replaceChildren(...operation.options.map((option) => {
      const select = make("select", {"data-option": option.name});
      const text = option.text || String;
      for (const value of option.values(this.options)) {
        const chosen = value === this.options[option.name];
        select.append(make("option", {value: String(value), selected: chosen}, text(value)));
      }
      select.addEventListener("change", () => this.choose(option, select.value));
      return make("label", {}, make("span", {}, option.label), select);
    }));
    const random = make("button", {type: "button", "data-option": "random"}, "Random values");
    random.addEventListener("click", () => this.randomize());
    const reset = make("button", {type: "button", "data-option": "reset"}, "First values");
    reset.addEventListener("click", () => this.reset());
    page("settings").append(random, reset);
    page("settings").querySelector(`[data-option="${focused}"]`)?.focus();
  },

  // Another option: go to the start of the part that was shown.
  choose(option, text) {
    const shown = this.count ? this.stage().id : undefined;
    this.options[option.name] = option.values(this.options).find((value) => String(value) === text);
    this.compute();
    this.count = this.rec.stages.find((stage) => stage.id === shown)?.first ?? 0;
    this.build();
    this.show();
  },

  randomize() {
    for (const [name, array] of Object.entries(operation.arrays(this.options))) {
      if (!array.input) continue;
      const {min = -4, max = 4, whole = true} = array;
      const draw = () => {
        const value = min + Math.random() * (max - min);
        return whole ? Math.round(value) : Math.round(value * 10) / 10;
      };
      const fill = (nested) => (Array.isArray(nested) ? nested.map(fill) : draw());
      this.values[name] = fill(this.values[name]);
    }
    this.compute();
    this.show();
    page("message").textContent = "All values are new.";
  },

  reset() {
    Object.assign(this, {options: {...data.options}, values: structuredClone(data.values), count: 0});
    this.compute();
    this.build();
    this.show();
    page("message").textContent = "Values and options are the first ones.";
  },

  edit(name, at, value) {
    if (value !== undefined) {
      let nested = this.values[name];
      if (at.length === 0) this.values[name] = value;
      at.forEach((i, axis) => {
        if (axis === at.length - 1) nested[i] = value;
        else nested = nested[i];
      });
      this.compute();
      page("message").textContent = `${this.rec.label(name, at)} is ${num(value)}. Everything is computed again.`;
    }
    this.show();
  },

  // Go to the step that finishes an element.
  find(name, at) {
    const key = at.join(",");
    const done = this.rec.steps.findLastIndex((step) => step.writes.some((w) => w[0] === name && w[1].join(",") === key));
    if (done >= 0) this.go(done + 1);
  },

  go(count) {
    this.count = Math.max(0, Math.min(count, this.rec.steps.length));
    page("message").textContent = "";
    this.show();
  },

  // To the last step of an element: the next one, or the one before.
  goElement(direction) {
    const {steps} = this.rec;
    const ends = [0, ...range(steps.length + 1).filter((i) => i > 0 && steps[i - 1].element !== steps[i]?.element)];
    const place = direction > 0 ? ends.find((end) => end > this.count) : ends.findLast((end) => end < this.count);
    if (place !== undefined) this.go(place);
  },

  stage() {
    return this.rec.stages[this.count ? this.rec.steps[this.count - 1].stage : 0];
  },

  show() {
    const {rec, count} = this;
    const step = count ? rec.steps[count - 1] : undefined;
    const element = step && rec.elements[step.element];
    const state = rec.after(count);
    const marks = {};
    const mark = (name, at, kind) => {
      marks[name] = marks[name] || new Map();
      marks[name].set(at.join(","), kind);
    };
    for (const [name, at] of element?.context || []) mark(name, at, "near");
    for (const [name, at] of step?.reads || []) mark(name, at, "read");
    for (const [name, at] of step?.writes || []) mark(name, at, "write");
    for (const [name, view] of Object.entries(this.views)) {
      view.show(state[name], marks[name] || new Map());
    }
    showFormula(rec, this.stage(), step);
    showNumbers(rec, step, element);
    showSource(step);
    page("words").textContent = words(rec, count, step, element);
    operation.show?.(this, step);
    page("count").textContent = `${count} / ${rec.steps.length}`;
    page("slider").value = count;
    page("slider").setAttribute("aria-valuetext", `${count} of ${rec.steps.length}, ${this.stage().part}`);
    for (const id of ["first", "back", "element-back"]) page(id).setAttribute("aria-disabled", count === 0);
    for (const id of ["last", "next", "element-next"]) page(id).setAttribute("aria-disabled", count === rec.steps.length);
    for (const button of page("stages").querySelectorAll("button")) {
      const current = step && Number(button.dataset.stage) === step.stage;
      if (current) button.setAttribute("aria-current", "step");
      else button.removeAttribute("aria-current");
      // Not scrollIntoView, which would scroll the page as well.
      if (current) page("stages").scrollLeft = button.offsetLeft - page("stages").clientWidth / 2;
    }
    this.keepInView();
  },

  // Bring what is written and read into view: the arrays may be higher than the screen,
  // and on a narrow one the panel of the step lies over their end.
  keepInView() {
    const panel = document.querySelector(".now");
    if (!this.started || getComputedStyle(panel).position !== "sticky") return;
    const around = (selector) => {
      const boxes = [...document.querySelectorAll(selector)].map((cell) => cell.getBoundingClientRect());
      return {top: Math.min(...boxes.map((box) => box.top)) - 40, bottom: Math.max(...boxes.map((box) => box.bottom)) + 10};
    };
    const side = panel.offsetWidth < window.innerWidth / 2;
    const room = window.innerHeight - (side ? 0 : panel.offsetHeight);
    let box = around("td.write, td.read");
    if (box.bottom - box.top > room) box = around("td.write");
    const shift = box.top < 0 ? box.top : box.bottom > room ? box.bottom - room : 0;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (Number.isFinite(shift) && shift) window.scrollBy({top: shift, behavior: still ? "auto" : "smooth"});
  },

  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.target.closest("select, #source, input[type=text]")) return;
    const moves = {
      ArrowRight: () => (event.shiftKey ? this.goElement(1) : this.go(this.count + 1)),
      ArrowLeft: () => (event.shiftKey ? this.goElement(-1) : this.go(this.count - 1)),
      Home: () => this.go(0),
      End: () => this.go(this.rec.steps.length),
    };
    if (event.shiftKey) {
      const starts = [0, ...this.rec.stages.map((stage) => stage.first)];
      moves.PageDown = () => this.go(starts.find((start) => start > this.count) ?? this.rec.steps.length);
      moves.PageUp = () => this.go(starts.findLast((start) => start < this.count) ?? 0);
    }
    if (!moves[event.key]) return;
    event.preventDefault();
    moves[event.key]();
  },

  // Compare the first values' results with those that Python wrote into the page.
  check() {
    let numbers = 0;
    for (const [name, expected] of Object.entries(data.results)) {
      const grid = this.rec.grids[name];
      corner(expected, grid.shape).forEach((value, i) => {
        numbers += 1;
        if (!(Math.abs(grid.data[i] - value) <= 1e-9 * (1 + Math.abs(value)))) {
          throw new Error(`${name}[${i}] is ${grid.data[i]} here and ${value} in Python`);
        }
      });
    }
    page("checked").textContent = `With the first values, all ${numbers} numbers computed here are those of ${data.places.join(" and ")}.`;
  },

  start() {
    this.compute();
    this.build();
    page("places").textContent = `From ${data.places.join(" and ")}, with the statement of this step marked.`;
    page("source").replaceChildren(...data.source.map((line) => make("code", {}, line || " ")));
    const clicks = {
      first: () => this.go(0), back: () => this.go(this.count - 1), next: () => this.go(this.count + 1),
      last: () => this.go(this.rec.steps.length),
      "element-back": () => this.goElement(-1), "element-next": () => this.goElement(1),
    };
    for (const [id, move] of Object.entries(clicks)) page(id).addEventListener("click", move);
    page("slider").addEventListener("input", () => this.go(Number(page("slider").value)));
    window.addEventListener("afterprint", () => this.show()); // the source was unrolled
    document.addEventListener("keydown", (event) => this.key(event));
    const wide = matchMedia("(min-width: 60rem)");
    page("options").open = wide.matches;
    wide.addEventListener("change", () => { page("options").open ||= wide.matches; });
    this.show();
    this.started = true;
    this.check();
  },
};

stepper.start();
