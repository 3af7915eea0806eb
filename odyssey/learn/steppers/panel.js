// What the page says of a step: formula, numbers, words, lines of source.

const page = (id) => document.getElementById(id);
const data = JSON.parse(page("data").textContent);

// The colour of an array: that of the array whose gradient it is.
const HUES = 8;
const GRADIENTS = {grad_input: "x", grad_output: operation.columns.flat(2).includes("out") ? "out" : "loss"};
function hueOf(name) {
  const base = (other) => GRADIENTS[other] ?? other.replace(/^grad_/, "");
  return [...new Set(operation.columns.flat(2).map(base))].indexOf(base(name)) % HUES;
}

// Text with the arrays' names in their colours; Σ{r,s} has what it runs over below it.
function coloured(rec, text) {
  const node = document.createDocumentFragment();
  for (const piece of text.split(/(\b[a-z]\w*(?:\[[^\]]*\])?|Σ\{[^}]*\})/)) {
    const name = piece.replace(/\[.*/, "");
    if (piece.startsWith("Σ{")) {
      node.append(make("span", {class: "sum"}, "Σ", make("sub", {}, piece.slice(2, -1))));
    } else if (name in rec.arrays) {
      node.append(make("span", {class: `name hue${hueOf(name)}`}, piece));
    } else node.append(piece);
  }
  return node;
}

// The formula of a part, and the line below it; the term of this step is marked.
function showFormula(rec, {formula, where}, step) {
  const lines = [[formula, "equation"], [where, "where"]].filter(([text]) => text).map(([text, kind]) => {
    const line = make("p", {class: kind});
    for (const piece of text.split(/(\[\[.*?\|.*?\]\](?!\]))/)) {
      const term = piece.match(/^\[\[(.*?)\|(.*)\]\]$/s);
      if (!term) line.append(coloured(rec, piece));
      else line.append(make("span", {class: `term${term[1] === step?.key ? " on" : ""}`}, coloured(rec, term[2])));
    }
    return line;
  });
  page("formula").replaceChildren(...lines);
}

// The element of this step in numbers: its terms, this one marked, and the sum so far.
function showNumbers(rec, step, element) {
  const line = make("p");
  if (step) {
    line.append(coloured(rec, rec.label(element.target, element.at)), ` = ${element.open}`);
    element.terms.forEach(({join, text}, i) => {
      const when = i === step.term ? "current" : i < step.term ? "done" : "later";
      line.append(make("span", {class: i <= step.term ? "" : "later"}, join), make("span", {class: when}, text));
    });
    const end = step.term === element.terms.length - 1;
    line.append(element.close, " ", make("span", {class: "result"},
      "= ", make("strong", {}, num(step.value)), make("span", {class: "so-far"}, end ? "" : " so far")));
  }
  page("numbers").replaceChildren(line);
}

// The step as a sentence: what a screen reader says.
function words(rec, count, step, element) {
  if (!step) return "Nothing is computed yet. Press Next or the right arrow key.";
  const name = rec.label(element.target, element.at);
  const terms = element.terms.length;
  const place = terms > 1 ? `${name}, term ${step.term + 1} of ${terms}: ` : `${name}: `;
  const sum = step.term === terms - 1 ? `${name} is ${num(step.value)}.` : `So far ${num(step.value)}.`;
  const end = count === rec.steps.length ? " That was the last step." : "";
  return `${place}${step.words} ${sum}${end}`;
}

// Mark the statement of this step, and scroll it into its box.
function showSource(step) {
  const span = step && data.lines[step.line];
  const lines = page("source").children;
  for (let i = 0; i < lines.length; i += 1) {
    lines[i].classList.toggle("on", Boolean(span) && i >= span[0] && i <= span[1]);
  }
  if (span) {
    const box = page("source");
    box.scrollTop = Math.max(0, lines[span[0]].offsetTop - box.clientHeight / 3);
  }
}
