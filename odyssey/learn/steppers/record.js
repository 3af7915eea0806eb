// The list of steps.  An operation computes once, and records each step as it goes: what
// is written, what is read, the term of the formula, the numbers and the words.

class Recorder {
  constructor(arrays, values) {
    this.arrays = arrays; // by name: {axes, shape, ...}
    this.grids = {};
    for (const [name, array] of Object.entries(arrays)) {
      const data = array.input ? corner(values[name], array.shape) : undefined;
      this.grids[name] = new Grid(array.shape, data);
    }
    this.stages = [];
    this.elements = [];
    this.steps = [];
  }

  get(name, ...at) {
    return this.grids[name].get(...at);
  }

  // The letters of the axes that an index names: those with more than one element.
  axes(name) {
    const {axes, shape, pad} = this.arrays[name];
    return [...axes].filter((_, axis) => shape[axis] > 1 || (pad && axis > 1));
  }

  // "x[h,w]"; letters has what stands for an axis, if it is not its letter.
  symbol(name, letters = {}) {
    const index = this.axes(name).map((axis) => letters[axis] ?? axis);
    return index.length ? `${name}[${index.join(",")}]` : name;
  }

  // "x[1,2]", or "x" for the whole array
  label(name, at) {
    if (!at) return name;
    const {axes} = this.arrays[name];
    return this.symbol(name, Object.fromEntries([...axes].map((a, i) => [a, num(at[i])])));
  }

  // "Σ{r,s} " over those of the axes that have more than one element; sizes by letter.
  sum(sizes) {
    const axes = Object.keys(sizes).filter((axis) => sizes[axis] > 1);
    return axes.length ? `Σ{${axes.join(",")}} ` : "";
  }

  // A part of the computation.  In formula, [[key|text]] is the term of the steps `key`.
  stage(part, id, formula, where = "") {
    this.stages.push({part, id, formula, where, first: this.steps.length + 1});
  }

  // The next element to be computed (without `at`: the whole array); terms follow.
  // open, close: text around the terms; context: elements to point out, [name, at].
  element(target, at, {open = "", close = "", context = []} = {}) {
    this.elements.push({target, at, open, close, context, terms: []});
  }

  // A step.  value is that of the element afterwards.  key: its term and its line;
  // reads: [name, at]; others: [name, at, value], written as well.
  term(text, value, {join = " + ", key, line = key, reads = [], words, others = []}) {
    const element = this.elements.at(-1);
    const step = {
      stage: this.stages.length - 1,
      element: this.elements.length - 1,
      term: element.terms.length,
      key, line, reads, words, value,
      writes: [...(element.at ? [[element.target, element.at, value]] : []), ...others],
    };
    element.terms.push({join, text});
    this.steps.push(step);
    for (const [name, at, written] of step.writes) {
      const grid = this.grids[name];
      grid.data[grid.flat(at)] = written;
    }
  }

  // Several steps whose sum is the element: each term is {text, value, reads, words}.
  total(terms, options) {
    let sum = 0;
    terms.forEach((term, i) => {
      sum += term.value;
      this.term(term.text, sum, {...options, ...term, join: i ? " + " : ""});
    });
  }

  // The arrays after the first `count` steps: name -> elements.
  after(count) {
    const state = {};
    for (const [name, array] of Object.entries(this.arrays)) {
      const grid = this.grids[name];
      state[name] = array.input ? [...grid.data] : new Array(grid.data.length).fill(undefined);
    }
    for (const step of this.steps.slice(0, count)) {
      for (const [name, at, value] of step.writes) {
        state[name][this.grids[name].flat(at)] = value;
      }
    }
    return state;
  }
}
