for (const name of ["multiples", "geometry"]) draw(name);

/* The map: another quantity puts other numbers, colours and tips into the same cells. */
const layers = data("layers-data");
const quantity = document.getElementById("quantity");
quantity?.addEventListener("change", () => {
  const layer = layers[quantity.value];
  tip.hidden = true;
  document.getElementById("quantity-key").textContent = layer.key;
  for (const cell of document.querySelectorAll("[data-site]")) {
    const { text, background, tip } = layer.cells[Number(cell.dataset.site)];
    cell.textContent = text;
    cell.style.background = background;
    cell.dataset.tip = tip;
  }
});

/* One weight at a time. */
const profile = data("profile-data");
const weight = document.getElementById("weight");
const showWeight = () => {
  const traces = profile.sites[weight.value].map(([style, x, y]) => ({ ...profile.styles[style], x, y }));
  Plotly.react("profile", traces, profile.layout, options("profile"));
};
weight?.addEventListener("change", showWeight);
if (weight) showWeight();
