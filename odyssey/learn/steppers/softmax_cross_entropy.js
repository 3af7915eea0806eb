// Softmax and cross-entropy, with label smoothing: log-probabilities that do not
// overflow, the loss, and the gradient of the logits.

const operation = {
  wide: true, // room for numbers with three decimals
  options: [],
  columns: [
    ["logits", "grad_logits"], ["shifted", ["greatest", "total"]], ["log_prob", "prob"],
    ["target", ["labels", "label_smoothing"]], ["loss", "grad_output"],
  ],

  arrays() {
    const [N, K] = [2, 3];
    const matrix = {axes: "nk", shape: [N, K]};
    const row = {axes: "n", shape: [N], layout: {planes: [], row: 0}};
    const number = {axes: "", shape: []};
    return {
      logits: {...matrix, input: true}, greatest: row, shifted: matrix, total: row, log_prob: matrix,
      labels: {...row, input: true, min: 0, max: K - 1, whole: true},
      label_smoothing: {...number, input: true, min: 0, max: 1, whole: false},
      target: matrix, loss: number, grad_output: {...number, input: true}, prob: matrix, grad_logits: matrix,
    };
  },

  note() {
    return "Two rows (n) of three classes (k). A label is the number of the right class, from 0 to 2. "
      + "grad_output is the gradient of whatever the loss goes into: a number, 1 if it is the last.";
  },

  run(rec) {
    const [N, K] = rec.arrays.logits.shape;
    const rows = range(N);
    const row = (n) => range(K).map((k) => [n, k]);
    const smoothing = rec.get("label_smoothing");
    const equals = (name, at) => `${rec.label(name, at)} = ${num(rec.get(name, ...at))}`;
    const all = (name, n) => row(n).map((at) => [name, at]);

    rec.stage("forward", "greatest", `${rec.symbol("greatest")} = max over k of [[greatest|${rec.symbol("logits")}]]`);
    for (const n of rows) {
      rec.element("greatest", [n], {open: "max(", close: ")", context: all("logits", n)});
      let greatest = -Infinity;
      row(n).forEach((at, k) => {
        const value = rec.get("logits", ...at);
        const words = k === 0 ? `${equals("logits", at)} is the first of its row.`
          : `${equals("logits", at)} is ${value > greatest ? "greater than" : "not greater than"} ${num(greatest)}.`;
        greatest = Math.max(greatest, value);
        rec.term(num(value), greatest, {join: k ? ", " : "", key: "greatest", line: "shifted", reads: [["logits", at]], words});
      });
    }

    rec.stage("forward", "shifted", `${rec.symbol("shifted")} = [[shifted|${rec.symbol("logits")} − ${rec.symbol("greatest")}]]`,
      "the probabilities stay the same, and no exp is above 1");
    for (const at of rec.grids.shifted.indices()) {
      const [z, top] = [rec.get("logits", ...at), rec.get("greatest", at[0])];
      rec.element("shifted", at);
      rec.term(`${num(z)} − ${factor(top)}`, z - top, {
        join: "", key: "shifted", reads: [["logits", at], ["greatest", [at[0]]]],
        words: `The greatest logit of the row, ${num(top)}, is subtracted.`,
      });
    }

    rec.stage("forward", "total", `${rec.symbol("total")} = Σ{k} [[total|exp(${rec.symbol("shifted")})]]`);
    for (const n of rows) {
      rec.element("total", [n], {context: all("shifted", n)});
      rec.total(row(n).map((at) => {
        const z = rec.get("shifted", ...at);
        return {text: `exp(${num(z)})`, value: Math.exp(z), reads: [["shifted", at]], words: `exp(${num(z)}) is ${num(Math.exp(z))}.`};
      }), {key: "total"});
    }

    rec.stage("forward", "log_prob", `${rec.symbol("log_prob")} = [[shifted|${rec.symbol("shifted")}]] − [[log|log(${rec.symbol("total")})]]`,
      "the logarithm of exp(shifted) / total, without a division");
    for (const at of rec.grids.log_prob.indices()) {
      const [z, total] = [rec.get("shifted", ...at), rec.get("total", at[0])];
      rec.element("log_prob", at);
      rec.term(num(z), z, {join: "", key: "shifted", line: "total", reads: [["shifted", at]], words: `From ${equals("shifted", at)}`
        + " the logarithm of the total will be subtracted."});
      rec.term(`log(${num(total)})`, z - Math.log(total), {
        join: " − ", key: "log", line: "total", reads: [["total", [at[0]]]], words: `log(${num(total)}) is ${num(Math.log(total))}.`,
      });
    }

    rec.stage("forward", "target", `${rec.symbol("target")} = [[hot|(1 − label_smoothing) · [k = ${rec.symbol("labels")}]]] + [[even|label_smoothing / ${K}]]`,
      `[k = labels[n]] is 1 for the class of the label and 0 for the others`);
    for (const at of rec.grids.target.indices()) {
      const label = rec.get("labels", at[0]);
      const hot = label === at[1] ? 1 : 0;
      rec.element("target", at);
      rec.term(`(1 − ${num(smoothing)})·${hot}`, (1 - smoothing) * hot, {
        join: "", key: "hot", line: "target", reads: [["labels", [at[0]]], ["label_smoothing", []]],
        words: `The label of row ${at[0]} is ${label}${hot ? ": this class." : ", another class."}`,
      });
      rec.term(`${num(smoothing)}/${K}`, (1 - smoothing) * hot + smoothing / K, {
        key: "even", line: "smoothed", reads: [["label_smoothing", []]], words: "Every class gets the same share of the smoothing.",
      });
    }

    rec.stage("forward", "loss", `loss = −Σ{n,k} [[loss|${rec.symbol("target")} · ${rec.symbol("log_prob")}]] [[count|/ ${N}]]`);
    rec.element("loss", [], {open: "("});
    let loss = 0;
    rec.grids.target.indices().forEach((at, i) => {
      const [t, logarithm] = [rec.get("target", ...at), rec.get("log_prob", ...at)];
      loss -= t * logarithm;
      rec.term(`${num(t)}·${factor(logarithm)}`, loss, {
        join: i ? " − " : "−", key: "loss", reads: [["target", at], ["log_prob", at]],
        words: `${equals("target", at)} times ${equals("log_prob", at)} is subtracted.`,
      });
    });
    rec.term(`/ ${N}`, loss / N, {join: ") ", key: "count", line: "loss", words: `The loss is the mean over the ${N} rows.`});

    rec.stage("backward", "prob", `${rec.symbol("prob")} = [[prob|exp(${rec.symbol("log_prob")})]]`);
    for (const at of rec.grids.prob.indices()) {
      const logarithm = rec.get("log_prob", ...at);
      rec.element("prob", at);
      rec.term(`exp(${num(logarithm)})`, Math.exp(logarithm), {
        join: "", key: "prob", reads: [["log_prob", at]], words: "The probability of this class. Those of a row add up to 1.",
      });
    }
    const g = rec.get("grad_output");
    rec.stage("backward", "grad_logits", `${rec.symbol("grad_logits")} = [[prob|${rec.symbol("prob")} · grad_output / ${N}]] − [[target|${rec.symbol("target")} · grad_output / ${N}]]`,
      "(prob − target) · grad_output / N, one term at a time");
    for (const at of rec.grids.grad_logits.indices()) {
      const [p, t] = [rec.get("prob", ...at), rec.get("target", ...at)];
      rec.element("grad_logits", at);
      rec.term(`${num(p)}·${factor(g)}/${N}`, (p * g) / N, {
        join: "", key: "prob", line: "grad_logits", reads: [["prob", at], ["grad_output", []]],
        words: `This logit is in the total of its row: ${equals("prob", at)} arrives, times grad_output / ${N}.`,
      });
      rec.term(`${num(t)}·${factor(g)}/${N}`, ((p - t) * g) / N, {
        join: " − ", key: "target", line: "grad_logits", reads: [["target", at], ["grad_output", []]],
        words: `It is in its own log_prob as well: ${equals("target", at)} is taken away, times grad_output / ${N}.`,
      });
    }
  },
};
