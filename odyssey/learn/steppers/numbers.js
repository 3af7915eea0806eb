// Arrays and numbers as text.

// An array of numbers: row-major, as in NumPy.  NaN and undefined are different: an
// element that is not computed yet is undefined.
class Grid {
  constructor(shape, data) {
    this.shape = shape;
    this.data = data || new Array(shape.reduce((a, b) => a * b, 1)).fill(undefined);
  }

  // The place of an element in data; -1 if an index is outside (in the padding).
  flat(at) {
    let place = 0;
    for (let axis = 0; axis < this.shape.length; axis += 1) {
      if (at[axis] < 0 || at[axis] >= this.shape[axis]) return -1;
      place = place * this.shape[axis] + at[axis];
    }
    return place;
  }

  get(...at) {
    return this.data[this.flat(at)];
  }

  // All indices, in the order of data.
  indices() {
    let all = [[]];
    for (const size of this.shape) {
      all = all.flatMap((at) => range(size).map((i) => [...at, i]));
    }
    return all;
  }
}

function range(size) {
  return Array.from({length: size}, (_, i) => i);
}

// Nested lists, as NumPy's tolist() gives them: their first elements along each axis.
function corner(nested, shape) {
  if (!shape.length) return [nested];
  return range(shape[0]).flatMap((i) => corner(nested[i], shape.slice(1)));
}

// A number as a student reads it: three decimals, a true minus sign.
function num(value) {
  if (value === undefined) return "";
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  let text = value.toFixed(3).replace(/\.?0+$/, "");
  if (size >= 1e5) text = value.toExponential(2).replace("e+", "e");
  if (size > 0 && size < 5e-4) text = size < 1e-9 ? "≈0" : value.toExponential(1);
  return text === "-0" ? "0" : text.replaceAll("-", "−");
}

// A number as a factor: in brackets if it has a sign.
function factor(value) {
  return value < 0 ? `(${num(value)})` : num(value);
}

// What a student typed, as a number: NaN if it is none.
function typed(text) {
  const plain = text.trim().replaceAll("−", "-").replace(",", ".");
  return /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(plain) ? Number(plain) : NaN;
}
