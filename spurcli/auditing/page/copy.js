"use strict";
// Copies the commands of a box; where the clipboard is closed to a page, selects them, to be copied by hand.
document.querySelectorAll("button.copy").forEach((button) => {
  button.hidden = false;
  const box = document.getElementById(button.dataset.of), said = document.getElementById("said");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(box.textContent.trim());
      said.textContent = "";
      said.textContent = "Copied.";
      button.textContent = "Copied";
    } catch (error) {
      const range = document.createRange();
      range.selectNodeContents(box);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      said.textContent = "Selected: copy with Ctrl+C.";
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
});
