// All calls to the server. What goes wrong is thrown as a Problem, whose message is a sentence for the reader.

export class Problem extends Error {
  constructor(
    message: string,
    readonly status = 0,
  ) {
    super(message);
  }
}

type Query = Record<string, string | number | null | undefined>;

function address(path: string, query: Query = {}): string {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return `/api/${path}${text && `?${text}`}`;
}

async function ask(method: string, url: string, signal: AbortSignal, body?: unknown): Promise<Response> {
  const headers: Record<string, string> = method === "GET" ? {} : { "X-Clew": "1" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const response = await fetch(url, { method, headers, signal, body: body === undefined ? null : JSON.stringify(body) }).catch(
    (error: unknown) => {
      throw signal.aborted ? error : new Problem("the studio does not answer; see whether clew studio still runs where you started it");
    },
  );
  if (!response.ok) throw new Problem(await sentence(response), response.status);
  return response;
}

async function sentence(response: Response): Promise<string> {
  const said: unknown = await response.json().catch(() => null);
  const known = typeof said === "object" && said !== null && "error" in said && typeof said.error === "string";
  return known ? String((said as { error: string }).error) : `the studio answered with status ${response.status}, and no reason`;
}

/** Whether a call was given up by whoever made it. */
export const cancelled = (error: unknown): boolean => error instanceof DOMException && error.name === "AbortError";

export async function get<T>(path: string, query: Query, signal: AbortSignal): Promise<T> {
  return (await (await ask("GET", address(path, query), signal)).json()) as T;
}

export async function send<T>(method: "POST" | "PUT" | "DELETE", path: string, query: Query, body: unknown, signal: AbortSignal): Promise<T> {
  const response = await ask(method, address(path, query), signal, body);
  const text = await response.text();
  return (text ? JSON.parse(text) : null) as T;
}

/** The lines of JSON of an answer, each as soon as it is there. */
export async function* lines<T>(path: string, body: unknown, signal: AbortSignal): AsyncGenerator<T> {
  const response = await ask("POST", address(path), signal, body);
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    const parts = (rest + (value ?? "")).split("\n");
    rest = done ? "" : (parts.pop() ?? "");
    for (const part of parts) if (part.trim()) yield JSON.parse(part) as T;
    if (done) return;
  }
}

/** Where a file can be fetched from, for a link. */
export const link = address;
