// What is wider than its box and scrolls sideways can be reached and scrolled with the keyboard.
(() => {
  const boxes = ".bd-article :is(.table-scroll, .pst-scrollable-table-container, pre, div.math, mjx-container, .output)";
  const mark = () => {
    for (const box of document.querySelectorAll(boxes)) {
      const scrolls =
        box.scrollWidth > box.clientWidth && /auto|scroll/.test(getComputedStyle(box).overflowX);
      if (scrolls) {
        box.classList.add("npf-scrolls");
        box.tabIndex = 0;
      } else if (box.classList.contains("npf-scrolls")) {
        box.classList.remove("npf-scrolls");
        box.removeAttribute("tabindex");
      }
    }
  };
  let timer;
  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(mark, 100);
  };
  addEventListener("resize", later);
  addEventListener("load", async () => {
    await window.MathJax?.startup?.promise;
    mark();
  });
})();

// The arrows that unfold a part of the contents say what they do.
addEventListener("DOMContentLoaded", () => {
  for (const arrow of document.querySelectorAll(".has-children > details > summary")) {
    const page = arrow.closest(".has-children").querySelector("a")?.textContent.trim();
    arrow.setAttribute("aria-label", `Pages below ${page}`);
  }
});

// Paper cannot be unfolded: what a page folds for its readers, other than code, is printed open.
(() => {
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll(".bd-article details:not(.hide):not([open])")];
    for (const box of opened) box.open = true;
  });
  addEventListener("afterprint", () => {
    for (const box of opened) box.open = false;
    opened = [];
  });
})();
