"use strict";
(() => {
  const one = s => document.querySelector(s), all = s => [...document.querySelectorAll(s)];
  const root = document.documentElement, svg = one("svg.graph"), info = one("#info");
  const edges = all("svg.graph .edge"), nodes = all("svg.graph .node");
  const cells = all(".cell"), edge = k => edges.find(e => e.dataset.e === k);
  const pairs = one("#answers") ? JSON.parse(one("#answers").textContent) : {};
  const statuses = ["adjustment", "no_effect", "not_amenable", "no_adjustment_set"];
  const say = key => one("#say-" + key).content.cloneNode(true);
  const words = x => x.querySelector("title").textContent;
  const name = k => words(nodes.find(n => n.dataset.n === k));
  root.classList.add("js");
  const speak = lang => {
    root.lang = lang;
    all("[data-en]").forEach(e => { e.textContent = e.dataset[lang]; });
    all("[data-label-en]").forEach(e => e.setAttribute("aria-label", e.getAttribute("data-label-" + lang)));
  };
  one("#switch").addEventListener("click", () => speak(root.lang === "en" ? "zh" : "en"));
  window.addEventListener("beforeprint", () => all("details").forEach(d => { d.open = true; }));
  if (!info) return;  // two graphs compared: nothing to click

  const filter = () => {
    const least = +one("#least").value;
    const gone = e => "confidence" in e.dataset && parseFloat(e.dataset.confidence) < least;
    edges.forEach(e => e.classList.toggle("off", gone(e)));
    cells.forEach(c => c.classList.toggle("off", gone(edge(c.dataset.e))));
    one("#least-shown").textContent = one("#least").value + " %";
    one("#count").textContent = edges.filter(e => !gone(e)).length;
  };
  const relabel = () => edges.forEach(e => {
    const text = e.querySelector("text");
    if (text) text.textContent = e.dataset[one("#labels").value] || "";
    const back = e.querySelector(".back");
    if (back) back.classList.toggle("off", !text.textContent);
    cells.filter(c => c.dataset.e === e.dataset.e).forEach(c => {
      c.textContent = c.dataset.sign + " " + (e.dataset[one("#labels").value] || "");
    });
  });
  const line = (key, names) => {
    const p = document.createElement("div");
    p.append(say(key), ": " + (names.join(", ") || "–"));
    return p;
  };
  const clear = () => {
    [...edges, ...nodes].forEach(x => x.classList.remove("on", "dim"));
    info.replaceChildren(say("hint"));
  };
  const choose = x => {
    const again = x.classList.contains("on");
    clear();
    if (again) return;
    const title = document.createElement("b");
    title.textContent = words(x);
    x.classList.add("on");
    info.replaceChildren(title);
    if (!x.classList.contains("node")) return edges.forEach(e => e.classList.toggle("dim", e !== x));
    const k = x.dataset.n, mine = edges.filter(e => e.dataset.a === k || e.dataset.b === k);
    const arrow = e => !e.dataset.open, other = e => name(e.dataset.a === k ? e.dataset.b : e.dataset.a);
    edges.forEach(e => e.classList.toggle("dim", !mine.includes(e)));
    info.append(line("causes", mine.filter(e => arrow(e) && e.dataset.b === k).map(other)),
                line("results", mine.filter(e => arrow(e) && e.dataset.a === k).map(other)));
    const open = mine.filter(e => !arrow(e)).map(other);
    if (open.length) info.append(line("linked", open));
  };
  const ask = () => {  // masks of nodes and edges, as `Asked.packed` writes them
    const t = one("#treatment").value, y = one("#outcome").value, on = one("#mark").checked;
    const [status, ...hex] = on && pairs[t + ">" + y] ? pairs[t + ">" + y].split(".") : ["", "", "", "", ""];
    const masks = hex.map(h => BigInt("0x" + (h || 0))), has = (mask, k) => (masks[mask] >> BigInt(k) & 1n) === 1n;
    const named = mask => nodes.map(n => n.dataset.n).filter(k => has(mask, k)).map(name).join(", ");
    svg.classList.toggle("asked", status !== "");
    edges.forEach(e => ["causal", "biasing"].forEach((c, k) => e.classList.toggle(c, has(2 + k, e.dataset.e))));
    nodes.forEach(n => {
      const k = n.dataset.n, is = {treatment: t.split("+").includes(k), outcome: y === k, adjusted: has(0, k), forbidden: has(1, k)};
      Object.entries(is).forEach(([c, yes]) => n.classList.toggle(c, status !== "" && yes));
    });
    all(".asked-only, #told").forEach(x => x.classList.toggle("shown", on));
    const told = one("#told");
    told.replaceChildren(say("asked_" + (status === "" ? "same_twice" : statuses[status])));
    if (status === "0") {
      told.append(" ", say("asked_adjust_" + (named(0) ? "for" : "nothing")), named(0) ? " " + named(0) + ". " : " ");
      if (named(1)) told.append(say("asked_adjust_not"), " " + named(1) + ".");
    }
  };
  const save = () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([new XMLSerializer().serializeToString(svg)], {type: "image/svg+xml"}));
    link.download = "graph.svg";
    link.click();
  };

  edges.forEach(e => {  // a wide unseen line, so that a thin one is easy to hit
    const wide = e.querySelector(".line").cloneNode();
    wide.setAttribute("class", "hit");
    e.prepend(wide);
  });
  cells.forEach(c => c.addEventListener("click", () => choose(edge(c.dataset.e))));
  [...edges, ...nodes].forEach(x => {
    x.setAttribute("tabindex", 0);
    x.setAttribute("role", "button");
    x.addEventListener("click", () => choose(x));
    x.addEventListener("keydown", e => { if (e.key === "Enter" || e.key === " ") { e.preventDefault(); choose(x); } });
  });
  document.addEventListener("keydown", e => { if (e.key === "Escape") clear(); });
  one("#least").addEventListener("input", filter);
  one("#labels").addEventListener("change", relabel);
  one("#mark")?.addEventListener("change", ask);
  all("#treatment, #outcome").forEach(x => x.addEventListener("change", () => { one("#mark").checked = true; ask(); }));
  one("#save").addEventListener("click", save);
  clear();
})();
