/* The switch sets the same checkpoints against another outcome. */
const scatters = data("scatters-data");
const outcome = document.getElementById("outcome");
const showOutcome = () => {
  const figure = scatters[outcome.value];
  Plotly.react("scatters", figure.data, figure.layout, options("geometry"));
};
outcome.addEventListener("change", showOutcome);
showOutcome();
