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

// In the search, pages come before the library's functions, but for a function asked for by its whole name.
window.Scorer = {
  objNameMatch: 14, objPartialMatch: 0, objPrio: {}, objPrioDefault: 0, title: 15, partialTitle: 7, term: 5, partialTerm: 2,
};

// A long name breaks where its words meet.
addEventListener("DOMContentLoaded", () => {
  for (const name of document.querySelectorAll("dt.sig .pre")) name.innerHTML = name.innerHTML.replaceAll("_", "_<wbr>");
});

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

// Tables whose rows have keys (the ledger's) are filtered by them and sorted by them; without this all rows are there.
addEventListener("DOMContentLoaded", () => {
  for (const table of document.querySelectorAll("table.npf-sortable")) {
    const rows = [...table.tBodies[0].rows];
    const names = Object.keys(rows[0]?.dataset ?? {});
    const bar = document.createElement("div");
    bar.className = "npf-filters";
    const count = document.createElement("output");
    const chosen = {};
    const show = () => {
      for (const row of rows) row.hidden = names.some((name) => chosen[name] && row.dataset[name] !== chosen[name]);
      count.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} claims`;
    };
    const sort = (name) => {
      const words = [...new Set(rows.map((row) => row.dataset[name]))];
      const at = (row) => words.indexOf(row.dataset[name]);
      const sorted = name ? [...rows].sort((one, other) => at(one) - at(other)) : rows;
      table.tBodies[0].append(...sorted);
    };
    const choice = (title, words, chose) => {
      const label = document.createElement("label");
      const select = document.createElement("select");
      for (const [value, text] of words) select.add(new Option(text, value));
      select.addEventListener("change", () => chose(select.value));
      label.append(`${title} `, select);
      bar.append(label);
    };
    for (const name of names) {
      const words = [...new Set(rows.map((row) => row.dataset[name]))];
      choice(name, [["", "all"], ...words.map((word) => [word, word])], (word) => {
        chosen[name] = word;
        show();
      });
    }
    choice("sorted by", [["", "order of the book"], ...names.map((name) => [name, name])], sort);
    bar.append(count);
    table.closest(".table-scroll").before(bar);
    show();
  }
});
