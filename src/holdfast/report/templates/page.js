for (const name of ["tradeoff", "course"]) {
  const source = document.getElementById(name + "-figure");
  if (!source) continue;
  const figure = JSON.parse(source.textContent);
  Plotly.newPlot(name, figure.data, figure.layout, {
    displaylogo: false,
    modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", "toImage"]],
    toImageButtonOptions: { format: "svg", filename: name },
  });
}

const copy = document.getElementById("copy");
copy.addEventListener("click", async () => {
  const text = document.getElementById("yaml");
  getSelection().selectAllChildren(text);
  try {
    await navigator.clipboard.writeText(text.textContent);
    copy.textContent = "Copied";
  } catch {
    copy.textContent = document.execCommand("copy") ? "Copied" : "Press Ctrl+C";
  }
  setTimeout(() => { copy.textContent = "Copy"; }, 2000);
});
