draw("choices");

/* The switch shows the choices of another entrant. */
const choices = data("choice-data");
const held = document.getElementById("held");
const showHeld = () => {
  const figure = choices[held.value];
  Plotly.react("choice", figure.data, figure.layout, options("choices"));
};
held?.addEventListener("change", showHeld);
if (held) showHeld();
