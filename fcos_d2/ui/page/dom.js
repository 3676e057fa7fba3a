// Small helpers. Names from files and models come in as text, never as markup.

export const byId = (id) => document.getElementById(id);

export function element(tag, className = "", text = "") {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.textContent = text;
  return node;
}

export const percent = (share) => `${100 * share}%`;
