draw("plane");

const byId = (id) => document.getElementById(id);
const print = (value, digits = 3) => value.toFixed(digits).replace(/^-(?=0\.?0*$)/, "").replace("-", "−");
const signed = (value) => (Number(value.toFixed(3)) > 0 ? "+" : "") + print(value);

/* One of several blocks is shown at a time. */
const switching = (select, blocks) => {
  select?.addEventListener("change", () => {
    for (const block of document.querySelectorAll(blocks)) block.hidden = block.dataset.place !== select.value;
  });
};
switching(byId("against"), ".against");
switching(byId("chain"), ".chain");

const courses = data("courses-data");
const orderPick = byId("order");
const picks = [...document.querySelectorAll("select.shown")];
const names = Object.keys(courses.entrants);
const emphasised = () => (names.length <= 4 ? names : [...new Set(picks.map((pick) => pick.value))]);

/* Full colour stands for the largest change of all entrants and orders in a unit. */
const extents = {};
for (const orders of Object.values(courses.entrants)) {
  for (const { scores } of Object.values(orders)) {
    for (const [task, { mean }] of Object.entries(scores)) {
      const unit = courses.units[task];
      extents[unit] = Math.max(extents[unit] ?? 0, ...mean.map((score) => Math.abs(score - mean[0])));
    }
  }
}
const tint = (change, unit) => {
  const share = extents[unit] ? Math.min(Math.abs(change) / extents[unit], 1) : 0;
  const end = change > 0 ? courses.better : courses.worse;
  return `rgb(${end.map((part) => Math.round(255 + share * (part - 255))).join(",")})`;
};
const element = (tag, text = "", className = "") => {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return made;
};
const columnsOf = (order) => [...order, ...courses.keep];

/* The matrix of one entrant in one order. */
const showMap = (table, name) => {
  const order = courses.orders[orderPick.value];
  const course = courses.entrants[name][orderPick.value];
  table.replaceChildren();
  const caption = element("caption", `${name} `);
  table.append(caption);
  if (!course) {
    caption.append(element("span", "did not finish this order"));
    return;
  }
  caption.append(element("span", course.seeds.length === 1 ? `seed ${course.seeds[0]}` : `mean of ${course.seeds.length} seeds`));
  const head = table.createTHead().insertRow();
  head.append(element("th"));
  columnsOf(order).forEach((task, column) => {
    const cell = element("th", "", column === order.length ? "first" : "");
    cell.append(element("span", task + (courses.units[task] === "frac" ? "" : `, ${courses.units[task]}`)));
    head.append(cell);
  });
  const body = table.createTBody();
  for (let stage = 0; stage <= order.length; stage += 1) {
    const row = body.insertRow();
    if (!stage) row.className = "base";
    row.append(element("th", stage ? `${stage}  ${order[stage - 1]}` : "untouched base"));
    columnsOf(order).forEach((task, column) => {
      const { mean, low, high } = course.scores[task];
      const learned = column < order.length ? column + 1 : 0;
      const cell = element("td", print(mean[stage], 2));
      if (column === order.length) cell.classList.add("first");
      if (learned && stage === learned) cell.classList.add("just");
      if (learned && stage < learned && stage) cell.classList.add("ahead");
      if (stage) cell.style.background = tint(mean[stage] - mean[0], courses.units[task]);
      const lines = [`${task} ${stage ? `after stage ${stage} (${order[stage - 1]})` : "on the untouched base"}`];
      lines.push(`score ${print(mean[stage])} [${print(low[stage])}, ${print(high[stage])}]`);
      if (stage) lines.push(`against the base ${signed(mean[stage] - mean[0])}`);
      if (learned && stage > learned) lines.push(`since it was trained ${signed(mean[stage] - mean[learned])}`);
      cell.dataset.tip = lines.join("\n");
      row.append(cell);
    });
  }
};

/* The curves: those who are picked in colour and with bands, on top of everybody else in grey. */
const faded = (colour, share) => {
  const parts = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  return `rgba(${parts.join(",")},${share})`;
};
const tracesOf = (name, task, panel, picked) => {
  const course = courses.entrants[name][orderPick.value];
  if (!course) return [];
  const { mean, low, high } = course.scores[task];
  const stages = mean.map((_, stage) => stage);
  const place = { xaxis: `x${panel}`, yaxis: `y${panel}`, cliponaxis: false };
  const { colour, dash } = courses.looks[name];
  const line = {
    ...place, x: stages, y: mean, type: "scatter", mode: picked ? "lines+markers" : "lines",
    line: { color: picked ? colour : "#d3d9de", width: picked ? 2 : 1, dash: picked ? dash : "solid" },
    marker: { size: 5, color: colour }, hoverinfo: "text",
    hovertext: stages.map((s) => `<b>${name.replace(/&/g, "&amp;").replace(/</g, "&lt;")}</b><br>stage ${s}: ${print(mean[s])} [${print(low[s])}, ${print(high[s])}]`),
  };
  if (!picked) return [line];
  const band = {
    ...place, x: [...stages, ...[...stages].reverse()], y: [...high, ...[...low].reverse()], type: "scatter",
    mode: "lines", line: { width: 0 }, fill: "toself", fillcolor: faded(colour, 0.16), hoverinfo: "skip",
  };
  return [band, line];
};
const showCurves = () => {
  const order = courses.orders[orderPick.value];
  const chosen = emphasised();
  const rest = names.filter((name) => !chosen.includes(name));
  const traces = [];
  const layout = JSON.parse(JSON.stringify(courses.layout));
  const level = { color: "#1c2128", width: 1, dash: "dot" };
  layout.annotations = [];
  layout.shapes = [];
  columnsOf(order).forEach((task, column) => {
    const panel = column + 1;
    for (const name of rest) traces.push(...tracesOf(name, task, panel, false));
    for (const name of chosen) traces.push(...tracesOf(name, task, panel, true));
    const [x, y] = courses.heads[column];
    const unit = courses.units[task] === "frac" ? "" : `, ${courses.units[task]}`;
    const trained = column < order.length;
    const text = `${task.replace(/&/g, "&amp;").replace(/</g, "&lt;")}${unit}<span style="color:#5b6570">${trained ? "" : "  not trained"}</span>`;
    layout.annotations.push({ x, y, xref: "paper", yref: "paper", xanchor: "left", yanchor: "bottom", yshift: 6, text, showarrow: false, font: { size: 13, color: "#1c2128" } });
    const base = courses.base[task];
    layout.shapes.push({ type: "line", xref: `x${panel} domain`, yref: `y${panel}`, x0: 0, x1: 1, y0: base, y1: base, line: level, layer: "below", opacity: 0.45 });
    if (trained) layout.shapes.push({ type: "line", xref: `x${panel}`, yref: `y${panel} domain`, x0: panel, x1: panel, y0: 0, y1: 1, line: level, layer: "below", opacity: 0.45 });
  });
  const key = byId("curve-key");
  key.replaceChildren(...chosen.map((name) => {
    const entry = element("span", name);
    const swatch = element("i");
    swatch.style.cssText = `display:inline-block;width:22px;height:3px;background:${courses.looks[name].colour}`;
    entry.prepend(swatch);
    return entry;
  }));
  if (rest.length) key.append(element("span", `${rest.length} others in grey`));
  Plotly.react("courses", traces, layout, { ...options("curves"), displayModeBar: false });
};
const showOrder = () => {
  picks.forEach((pick, place) => showMap(byId(`map-${place}`), pick.value));
  showCurves();
};
if (orderPick && names.length) {
  for (const pick of [orderPick, ...picks]) pick.addEventListener("change", showOrder);
  showOrder();
}
