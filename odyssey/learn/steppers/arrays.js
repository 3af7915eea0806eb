// The arrays on the page: tables whose elements can be walked through and edited.

const LIMIT = 1000; // of what may be typed, so that the numbers stay readable

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

// The tables of one array.  host has label(name, at), edit(name, at, value),
// find(name, at), say(text) and leave().
class ArrayView {
  constructor(name, array, hue, host) {
    Object.assign(this, {name, array, host});
    const {axes, shape} = array;
    // Planes side by side, each of rows and columns; which axes these are.
    const layout = array.layout || {
      planes: range(Math.max(shape.length - 2, 0)),
      row: shape.length > 1 ? shape.length - 2 : undefined,
      column: shape.length ? shape.length - 1 : undefined,
    };
    const long = layout.planes.filter((axis) => shape[axis] > 1);
    const pad = array.pad || 0;
    const ends = (axis) => (axis === undefined ? [undefined] : range(shape[axis] + 2 * pad).map((i) => i - pad));
    this.rows = ends(layout.row).map(() => []); // of cells that can be focused
    this.cells = new Map(); // "0,0,1,2" -> cell
    this.node = make("div", {class: `array hue${hue}${array.input ? " input" : ""}${layout.row === undefined ? " inline" : ""}`, "data-array": name});
    this.node.append(make("h3", {class: "name"}, name));
    const planes = make("div", {class: "planes"});
    for (const plane of new Grid(long.map((axis) => shape[axis])).indices()) {
      const fixed = new Array(shape.length).fill(0);
      long.forEach((axis, i) => { fixed[axis] = plane[i]; });
      const caption = long.map((axis, i) => `${axes[axis]} = ${plane[i]}`).join(", ");
      planes.append(this.table(fixed, caption, layout, ends));
    }
    this.node.append(planes);
    this.node.addEventListener("keydown", (event) => this.key(event));
    const first = this.rows.flat()[0];
    if (first) first.tabIndex = 0;
  }

  table(fixed, caption, {row, column}, ends) {
    const {name, array} = this;
    const label = `${name}${caption ? `, ${caption}` : ""}${array.input ? ", editable" : ""}`;
    const table = make("table", {role: "grid", "aria-label": label});
    if (caption) table.append(make("caption", {}, caption));
    const named = !array.plain; // indices are written beside rows and columns
    if (named && row !== undefined && column !== undefined && array.shape[column] > 1) {
      const head = make("tr", {role: "row"}, make("td", {class: "corner"}, `${array.axes[row]}\\${array.axes[column]}`));
      for (const i of ends(column)) head.append(make("th", {scope: "col"}, i < 0 || i >= array.shape[column] ? "" : String(i)));
      table.append(make("thead", {"aria-hidden": "true"}, head));
    }
    const body = make("tbody");
    ends(row).forEach((i, rank) => {
      const line = make("tr", {role: "row"});
      if (named && row !== undefined) {
        line.append(make("th", {scope: "row", "aria-hidden": "true"}, i < 0 || i >= array.shape[row] ? "" : String(i)));
      }
      for (const j of ends(column)) {
        const at = [...fixed];
        if (row !== undefined) at[row] = i;
        if (column !== undefined) at[column] = j;
        line.append(this.cell(at, rank));
      }
      body.append(line);
    });
    table.append(body);
    return table;
  }

  cell(at, rank) {
    const outside = new Grid(this.array.shape).flat(at) < 0;
    const cell = make("td", {role: "gridcell", "data-at": at.join(",")});
    this.cells.set(at.join(","), cell);
    if (outside) {
      cell.textContent = this.array.padText || "0";
      cell.className = "padding";
      cell.setAttribute("aria-label", `padding: ${cell.textContent}`);
      return cell;
    }
    cell.at = at;
    cell.tabIndex = -1;
    if (!this.array.input) cell.setAttribute("aria-readonly", "true");
    cell.addEventListener("click", () => {
      this.focus(cell);
      this.open(cell);
    });
    this.rows[rank].push(cell);
    return cell;
  }

  // Show the elements; marks: "0,1" -> "read", "write" or "near".
  show(data, marks) {
    const grid = new Grid(this.array.shape);
    for (const [key, cell] of this.cells) {
      const mark = marks.get(key);
      if (cell.at) {
        const value = data[grid.flat(cell.at)];
        if (!cell.querySelector("input")) cell.textContent = value === undefined ? "·" : num(value);
        cell.dataset.value = String(value);
        const label = this.host.label(this.name, cell.at);
        cell.setAttribute("aria-label", `${label}: ${value === undefined ? "not computed yet" : num(value)}`);
      }
      cell.className = [cell.at ? "" : "padding", mark || "", cell.textContent === "·" ? "empty" : ""].join(" ").trim();
    }
  }

  focus(cell) {
    for (const other of this.rows.flat()) other.tabIndex = -1;
    cell.tabIndex = 0;
    cell.focus();
  }

  key(event) {
    const cell = event.target;
    if (!cell.at || event.ctrlKey || event.altKey || event.metaKey) return;
    const row = this.rows.findIndex((cells) => cells.includes(cell));
    const column = this.rows[row].indexOf(cell);
    const full = this.rows.filter((cells) => cells.length);
    const near = (step) => full[full.indexOf(this.rows[row]) + step]?.[column];
    const moves = {
      ArrowLeft: this.rows[row][column - 1], ArrowRight: this.rows[row][column + 1],
      ArrowUp: near(-1), ArrowDown: near(1),
      Home: this.rows[row][0], End: this.rows[row].at(-1),
    };
    if (event.key in moves) {
      if (moves[event.key]) this.focus(moves[event.key]);
    } else if (event.key === "Enter" || event.key === "F2") {
      this.open(cell);
    } else if (event.key === "Escape") {
      this.host.leave();
    } else if (this.array.input && /^[-+.\d]$/.test(event.key)) {
      this.open(cell, event.key);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  // Enter on an element: edit it, or go to the step that makes it.
  open(cell, text) {
    if (!this.array.input) {
      this.host.find(this.name, cell.at);
      return;
    }
    if (cell.querySelector("input")) return;
    const label = this.host.label(this.name, cell.at);
    const field = make("input", {type: "text", size: 4, inputmode: "text", autocomplete: "off", "aria-label": `New value of ${label}`});
    field.value = text ?? String(Number(Number(cell.dataset.value).toPrecision(12)));
    cell.replaceChildren(field);
    field.focus();
    if (text === undefined) field.select();
    let open = true;
    const close = (keep) => {
      if (!open) return true;
      const value = keep ? this.accept(field.value, label) : undefined;
      if (keep && value === undefined) return false;
      open = false;
      field.remove();
      if (keep) this.host.edit(this.name, cell.at, value);
      else this.host.edit(this.name, cell.at, undefined);
      return true;
    };
    field.addEventListener("keydown", (event) => {
      event.stopPropagation();
      const steps = {ArrowUp: -1, ArrowDown: 1};
      if (event.key === "Escape") {
        close(false);
        this.focus(cell);
      } else if (event.key === "Enter" || event.key in steps) {
        event.preventDefault();
        if (!close(true)) return field.setAttribute("aria-invalid", "true");
        this.focus(cell);
        if (event.key in steps) cell.dispatchEvent(new KeyboardEvent("keydown", {key: event.key, bubbles: true}));
      }
      return undefined;
    });
    field.addEventListener("click", (event) => event.stopPropagation());
    field.addEventListener("blur", () => close(true) || close(false));
  }

  // The number that was typed; undefined, with a message, if it cannot be a value.
  accept(text, label) {
    const {min = -LIMIT, max = LIMIT, whole = false} = this.array;
    const value = typed(text);
    if (value >= min && value <= max && (!whole || Number.isInteger(value))) return value;
    const kind = whole ? "a whole number" : "a number";
    this.host.say(`${label} must be ${kind} from ${num(min)} to ${num(max)}, not “${text}”.`);
    return undefined;
  }
}
