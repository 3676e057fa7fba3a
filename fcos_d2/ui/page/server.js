// Requests to the server; errors are Error objects with the server's line.

async function answerOf(request) {
  let response;
  try {
    response = await request;
  } catch {
    throw new Error("no answer: does `fcos ui` still run in its terminal?");
  }
  const content = await response.json();
  if (!response.ok) throw new Error(content.error);
  return content;
}

export const model = () => answerOf(fetch("model"));

export const detect = (file) => answerOf(fetch("detect", { method: "POST", body: file }));

export function why(file, box, className, thresholds) {
  const query = new URLSearchParams({ box: box.join(","), thresholds: thresholds.join(",") });
  if (className !== null) query.set("class", className);
  return answerOf(fetch(`why?${query}`, { method: "POST", body: file }));
}

// The content of a data URL under an address of its own, so that it need not stay in memory.
export function urlOf(dataUrl) {
  const [head, base64] = dataUrl.split(",");
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  return URL.createObjectURL(new Blob([bytes], { type: head.slice(5).split(";")[0] }));
}
