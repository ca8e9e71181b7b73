/* The recipe is copied by a click, or at least marked. */
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
