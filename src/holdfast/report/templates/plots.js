/* Figures stand on the page as JSON, each in an element that is named after the one it is drawn in. */
const options = (name) => ({
  displaylogo: false,
  modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", "toImage"]],
  toImageButtonOptions: { format: "svg", filename: name },
});
const data = (name) => JSON.parse(document.getElementById(name)?.textContent ?? "null");
const draw = (name) => {
  const figure = data(name + "-figure");
  if (figure) Plotly.newPlot(name, figure.data, figure.layout, options(name));
};
