/** What the API answers, as version 1 of the HTTP contract has it. */
export interface Account {
  readonly id: string;
  readonly handle: string;
  readonly displayName: string;
  readonly bio: string;
  readonly avatar?: Media;
}

export interface AccountPage extends Account {
  readonly postCount: number;
  readonly followerCount: number;
  readonly followingCount: number;
  readonly viewer: { readonly following: boolean; readonly blocking: boolean };
}

export interface Session {
  readonly account: Account;
  readonly accessToken: string;
  readonly refreshToken: string;
  /** Seconds. */
  readonly expiresIn: number;
}

export interface SignedUpload {
  readonly mediaId: string;
  readonly upload: {
    readonly method: "PUT";
    readonly url: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly expiresAt: string;
  };
}

export interface Variant {
  readonly url: string;
  readonly width: number;
  readonly height: number;
  readonly byteLength: number;
  readonly contentType: string;
}

export interface Media {
  readonly mediaId: string;
  readonly status: "processing" | "ready" | "rejected";
  /** Of a rejected one. */
  readonly reason?: string;
  /** Base64 thumbhash. */
  readonly placeholder?: string;
  readonly width?: number;
  readonly height?: number;
  readonly variants?: {
    readonly thumbnail: Variant;
    readonly medium: Variant;
    readonly large: Variant;
  };
}

export interface Card {
  readonly id: string;
  readonly author: Account;
  readonly caption: string;
  readonly createdAt: string;
  readonly likeCount: number;
  readonly commentCount: number;
  readonly media: readonly (Media & { readonly altText?: string })[];
  readonly viewer: { readonly liked: boolean };
}

export interface Comment {
  readonly id: string;
  readonly author: Account;
  readonly text: string;
  readonly createdAt: string;
}

export interface Page<Item> {
  readonly items: readonly Item[];
  /** Null at the end. */
  readonly nextCursor: string | null;
}
