/** An error as S3 answers it: a status, a code that clients switch on, a sentence. */
export class S3Error extends Error {
  override readonly name = "S3Error";
  constructor(readonly status: number, readonly code: string, message: string) {
    super(message);
  }

  toResponse(headers: HeadersInit): Response {
    const answer = new Response(
      `<?xml version="1.0" encoding="UTF-8"?>\n` +
        `<Error><Code>${this.code}</Code><Message>${escapeXml(this.message)}</Message></Error>`,
      { status: this.status, headers },
    );
    answer.headers.set("content-type", "application/xml");
    return answer;
  }
}

function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
