// Elements of the content that are cut, or reach beyond their column without a way to scroll.
// Returns [{element, problem}, ...]; `isWide` demands that code and tables fit without scrolling.
({ isWide }) => {
  const findings = [];
  const TOLERANCE = 5; // pixels: the padding of code in a line may stand in the margin
  const root = document.documentElement;
  const content = document.querySelector("article") || document.querySelector("main") || document.body;
  const column = content.getBoundingClientRect();
  // on a phone, code and tables may use the margins of the column
  const [left, right] = isWide ? [column.left, column.right] : [0, root.clientWidth];

  const describe = (element) => {
    const classes = [...element.classList].slice(0, 2).map((name) => "." + name).join("");
    const text = (element.getAttribute("alt") || element.textContent || "").trim().replace(/\s+/g, " ").slice(0, 60);
    const headings = [...content.querySelectorAll("h1[id], h2[id], h3[id], h4[id]")];
    const before = headings.filter((heading) => heading.compareDocumentPosition(element) & 4).pop();
    return `${element.tagName.toLowerCase()}${classes} '${text}'${before ? ` below #${before.id}` : ""}`;
  };
  const add = (element, problem) => findings.push({ element: describe(element), problem });
  const overflow = (element) => getComputedStyle(element).overflowX;
  const scrolls = (element) => ["auto", "scroll"].includes(overflow(element));
  const clips = (element) => ["hidden", "clip"].includes(overflow(element));
  const ancestors = (element) => {
    const list = [];
    for (let node = element.parentElement; node && content.contains(node) && node !== content; node = node.parentElement) {
      list.push(node);
    }
    return list;
  };
  const isVisible = (element) => {
    const box = element.getBoundingClientRect();
    return box.width > 1 && box.height > 1 && element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  };
  const longestLine = (element) =>
    element.textContent.split("\n").reduce((longest, line) => (line.length > longest.length ? line : longest), "").trim();

  if (root.scrollWidth > root.clientWidth) {
    findings.push({ element: "", problem: `the page scrolls sideways: ${root.scrollWidth} of ${root.clientWidth} px` });
  }

  const beyond = new Set();
  for (const element of content.querySelectorAll("*")) {
    if (!isVisible(element)) continue;
    const box = element.getBoundingClientRect();
    const parents = ancestors(element);
    if (parents.some((parent) => beyond.has(parent))) continue; // reported
    const container = parents.find((parent) => scrolls(parent) || clips(parent));
    if (container && scrolls(container)) continue; // the reader can scroll to it
    const frame = container ? container.getBoundingClientRect() : { left, right };
    if (box.right > frame.right + TOLERANCE || box.left < frame.left - TOLERANCE) {
      beyond.add(element);
      const pixels = Math.round(Math.max(box.right - frame.right, frame.left - box.left));
      add(element, container ? `is cut by ${pixels} px` : `reaches ${pixels} px beyond the column`);
    }
  }

  if (isWide) {
    for (const code of content.querySelectorAll("pre, pre > code")) {
      if (isVisible(code) && code.scrollWidth > code.clientWidth + 1) {
        const line = longestLine(code);
        add(code, `a line of code is cut (${code.scrollWidth} of ${code.clientWidth} px): '${line.slice(0, 100)}'`);
      }
    }
    for (const table of content.querySelectorAll("table:not(.highlighttable)")) {
      for (const box of [table, ...ancestors(table)].filter((element) => scrolls(element) && isVisible(element))) {
        if (box.scrollWidth > box.clientWidth + 1) {
          add(table, `is wider than its column (${box.scrollWidth} of ${box.clientWidth} px)`);
        }
      }
    }
  }

  for (const image of document.querySelectorAll("img")) {
    if (!image.complete || image.naturalWidth === 0) add(image, `is not loaded: ${image.getAttribute("src")}`);
  }
  return findings;
};
