// The contrast of every visible text against its background, as WCAG 2.2 defines it.
// Returns [{element, text, foreground, background, contrast, required}, ...] of texts with too little.
() => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const colors = new Map();
  const parse = (text) => {
    if (!colors.has(text)) {
      context.clearRect(0, 0, 1, 1);
      context.fillStyle = text;
      context.fillRect(0, 0, 1, 1);
      const [red, green, blue, alpha] = context.getImageData(0, 0, 1, 1).data;
      colors.set(text, [red, green, blue, alpha / 255]);
    }
    return colors.get(text);
  };
  const blend = (front, back, alpha = front[3]) => [0, 1, 2].map((i) => alpha * front[i] + (1 - alpha) * back[i]).concat(1);
  const linear = (value) => (value <= 0.04045 * 255 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = ([red, green, blue]) => 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
  const ratio = (one, other) => {
    const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
  };
  const hex = (color) => "#" + color.slice(0, 3).map((part) => Math.round(part).toString(16).padStart(2, "0")).join("");

  // the background behind an element, and the opacity of the groups that it is part of
  const cache = new Map([[null, { background: [255, 255, 255, 1], opacity: 1 }]]);
  const painted = (element) => {
    if (!cache.has(element)) {
      const style = getComputedStyle(element);
      const parent = painted(element.parentElement);
      const opacity = parent.opacity * Number(style.opacity);
      const color = parse(style.backgroundColor);
      cache.set(element, { background: blend(color, parent.background, color[3] * opacity), opacity });
    }
    return cache.get(element);
  };

  const results = new Map();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || ["SCRIPT", "STYLE", "TITLE", "NOSCRIPT"].includes(element.tagName)) continue;
    const box = element.getBoundingClientRect();
    if (box.width <= 1 || box.height <= 1) continue;
    if (!element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    const style = getComputedStyle(element);
    const { background, opacity } = painted(element);
    if (opacity === 0) continue;
    const text = parse(element.closest("svg") ? style.fill : style.color);
    const foreground = blend(text, background, text[3] * opacity);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const [contrast, required] = [ratio(foreground, background), isLarge ? 3 : 4.5];
    if (contrast >= required) continue;
    const classes = [...element.classList].slice(0, 2).map((name) => "." + name).join("");
    const parent = element.parentElement;
    const parentClass = parent && parent.classList.length ? "." + parent.classList[0] : parent ? parent.tagName.toLowerCase() : "";
    const name = `${parentClass} > ${element.tagName.toLowerCase()}${classes}`;
    const key = [name, hex(foreground), hex(background)].join();
    if (!results.has(key)) {
      results.set(key, {
        element: name, text: walker.currentNode.textContent.trim().slice(0, 30),
        foreground: hex(foreground), background: hex(background), contrast, required,
      });
    }
  }
  return [...results.values()];
};
