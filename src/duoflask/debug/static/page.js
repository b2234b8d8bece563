"use strict";
(() => {
  const copy = document.getElementById("copy");
  const text = document.getElementById("text");
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text.textContent);
    } catch {
      // Without TLS a host other than localhost has no clipboard: select the text and ask the old way.
      text.parentElement.open = true;
      const range = document.createRange();
      range.selectNodeContents(text);
      const selection = getSelection();
      selection.removeAllRanges();
      selection.addRange(range);
      document.execCommand("copy");
    }
    copy.textContent = "Copied";
  });
  document.getElementById("unfold").addEventListener("click", () => {
    const all = document.querySelectorAll("main details");
    const open = ![...all].every((item) => item.open);
    for (const item of all) item.open = open;
  });
})();
