import assert from "node:assert/strict";
import { problemCode } from "../../infra/http/testing.ts";
import { originalKey } from "../../domain/media.ts";
import { newId } from "../../infra/event-log/ids.ts";
import { inWorld, password, type World } from "./testing.ts";

type Person = Awaited<ReturnType<World["signUp"]>>;

async function assertProblem(response: Response, status: number, code: string): Promise<void> {
  assert.deepEqual([response.status, await problemCode(response)], [status, code]);
}

async function assertDone(response: Response): Promise<void> {
  assert.equal(response.status, 204, await response.text());
  assert.match(response.headers.get("position") ?? "", /^[a-z]+:\d+:\d+/);
}

async function eventTypes(world: World): Promise<string[]> {
  return (await world.events()).map(({ type }) => type).sort();
}

Deno.test(
  "POST /v1/accounts: opens an account, signed in, and AccountRegistered is in the log by then",
  inWorld(async (world) => {
    const response = await world.send("POST", "/v1/accounts", {
      body: { handle: "Ada", password, displayName: " Ada L. " },
    });
    assert.equal(response.status, 201);
    assert.match(response.headers.get("position") ?? "", /^accounts:\d+:0$/);
    assert.equal(response.headers.get("cache-control"), "no-store");
    const { account, accessToken, refreshToken, expiresIn } = await response.json();
    assert.deepEqual(account, { id: account.id, handle: "Ada", displayName: "Ada L.", bio: "" });
    assert.equal(expiresIn, 900);
    assert.ok(accessToken && refreshToken);
    const [event] = await world.events();
    assert.equal(event?.type, "AccountRegistered");
    assert.deepEqual(event?.data, { accountId: account.id, handle: "Ada", displayName: "Ada L." });
  }),
);

Deno.test(
  "POST /v1/accounts: a handle belongs to one account, whatever its case",
  inWorld(async (world) => {
    await world.signUp("ada");
    const body = { handle: "ADA", password };
    await assertProblem(await world.send("POST", "/v1/accounts", { body }), 409, "handle-taken");
    const race = await Promise.all(
      ["bob", "BOB", "Bob"].map((handle) =>
        world.send("POST", "/v1/accounts", { body: { handle, password } })
      ),
    );
    assert.deepEqual(race.map(({ status }) => status).sort(), [201, 409, 409]);
  }),
);

Deno.test(
  "POST /v1/accounts: says what is wrong with a body, and where",
  inWorld(async (world) => {
    const body = { handle: "a", password: "short", admin: true };
    const response = await world.send("POST", "/v1/accounts", { body });
    assert.equal(response.status, 422);
    const { errors } = await response.json();
    const paths = errors.map(({ path }: { path: string }) => path);
    assert.deepEqual(paths.sort(), ["", "handle", "password"]);
  }),
);

Deno.test(
  "POST /v1/accounts: a retry under its Idempotency-Key opens nothing twice",
  inWorld(async (world) => {
    const register = () =>
      world.send("POST", "/v1/accounts", {
        body: { handle: "ada", password },
        headers: { "Idempotency-Key": "sign-up-1" },
      });
    const both = await Promise.all([register(), register()]);
    const again = await register();
    const answers = await Promise.all(
      [...both, again].map(async (r) =>
        `${r.status} ${r.headers.get("position")} ${await r.text()}`
      ),
    );
    assert.equal(new Set(answers).size, 1, answers.join("\n"));
    assert.match(answers[0] ?? "", /^201 /);
    assert.deepEqual(await eventTypes(world), ["AccountRegistered"]);
  }),
);

Deno.test(
  "POST /v1/sessions: a wrong password and an unknown handle are told alike",
  inWorld(async (world) => {
    const ada = await world.signUp("ada");
    const signIn = (handle: string, attempt: string) =>
      world.send("POST", "/v1/sessions", { body: { handle, password: attempt } });
    const right = await signIn("ADA", password);
    assert.equal(right.status, 201);
    assert.equal((await right.json()).account.id, ada.id);
    const [wrong, unknown] = [
      await signIn("ada", "not her password"),
      await signIn("eve", password),
    ];
    const told = async (response: Response) => {
      const { instance: _, ...rest } = await response.json();
      return rest;
    };
    assert.equal(wrong.status, 401);
    assert.deepEqual(await told(wrong), await told(unknown));
  }),
);

Deno.test(
  "POST /v1/sessions/refresh: rotates, and a token that comes twice ends the session",
  inWorld(async (world) => {
    const { tokens } = await world.signUp("ada");
    const refresh = (refreshToken: string) =>
      world.send("POST", "/v1/sessions/refresh", { body: { refreshToken } });
    const rotated = await refresh(tokens.refreshToken);
    assert.equal(rotated.status, 201);
    const next = await rotated.json();
    assert.notEqual(next.refreshToken, tokens.refreshToken);
    await assertProblem(await refresh(tokens.refreshToken), 401, "invalid-refresh-token");
    await assertProblem(await refresh(next.refreshToken), 401, "invalid-refresh-token");
    const after = await world.send("DELETE", "/v1/sessions", { token: next.accessToken });
    await assertProblem(after, 401, "unauthenticated");
  }),
);

Deno.test(
  "DELETE /v1/sessions: the access token is refused from then on, others are not",
  inWorld(async (world) => {
    const { token } = await world.signUp("ada");
    const other = await (await world.send("POST", "/v1/sessions", {
      body: { handle: "ada", password },
    })).json();
    assert.equal((await world.send("DELETE", "/v1/sessions", { token })).status, 204);
    await assertProblem(
      await world.send("DELETE", "/v1/sessions", { token }),
      401,
      "unauthenticated",
    );
    const others = await world.send("DELETE", "/v1/sessions", { token: other.accessToken });
    assert.equal(others.status, 204);
  }),
);

Deno.test(
  "PATCH /v1/me: answers with the account as it will be, before projections have it",
  inWorld(async (world) => {
    const ada = await world.signUp("ada");
    const first = await world.send("PATCH", "/v1/me", {
      token: ada.token,
      body: { bio: "Engines" },
    });
    assert.equal(first.status, 200);
    assert.match(first.headers.get("position") ?? "", /^accounts:\d+:\d+$/);
    const expected = { id: ada.id, handle: "ada", displayName: "ada", bio: "Engines" };
    assert.deepEqual((await first.json()).account, expected);
    await world.catchUp();
    const body = { displayName: "Ada L." };
    const second = await world.send("PATCH", "/v1/me", { token: ada.token, body });
    assert.deepEqual((await second.json()).account, { ...expected, displayName: "Ada L." });
    const nothing = await world.send("PATCH", "/v1/me", { token: ada.token, body: {} });
    await assertProblem(nothing, 422, "invalid-body");
  }),
);

Deno.test(
  "PATCH /v1/me: an avatar is one of your own uploads",
  inWorld(async (world) => {
    const [ada, eve] = [await world.signUp("ada"), await world.signUp("eve")];
    const avatarMediaId = await world.upload(ada);
    const change = (person: Person) =>
      world.send("PATCH", "/v1/me", { token: person.token, body: { avatarMediaId } });
    await assertProblem(await change(eve), 422, "media-not-uploaded");
    assert.equal((await change(ada)).status, 200);
  }),
);

Deno.test(
  "DELETE /v1/me: takes the password, erases what was written, refuses the token after",
  inWorld(async (world) => {
    const { token } = await world.signUp("ada");
    const close = (attempt: string) =>
      world.send("DELETE", "/v1/me", { token, body: { password: attempt } });
    await assertProblem(await close("not her password"), 401, "invalid-credentials");
    await assertDone(await close(password));
    await assertProblem(await close(password), 401, "unauthenticated");
    assert.deepEqual(await eventTypes(world), ["AccountClosed", "AccountRegistered"]);
    const registered = (await world.events()).find(({ type }) => type === "AccountRegistered");
    assert.equal(registered?.type === "AccountRegistered" && registered.data.handle, null);
    const signIn = await world.send("POST", "/v1/sessions", { body: { handle: "ada", password } });
    await assertProblem(signIn, 401, "invalid-credentials");
  }),
);

Deno.test(
  "POST /v1/media: signs a PUT of exactly this type and length for fifteen minutes",
  inWorld(async (world) => {
    const { token, id } = await world.signUp("ada");
    const begun = Date.now();
    const response = await world.send("POST", "/v1/media", {
      token,
      body: { contentType: "image/png", byteLength: 1234 },
    });
    const { mediaId, upload } = await response.json();
    assert.equal(response.status, 201);
    assert.equal(upload.method, "PUT");
    assert.ok(new URL(upload.url).pathname.endsWith(`/originals/${id}/${mediaId}`));
    assert.equal(new Headers(upload.headers).get("content-type"), "image/png");
    const seconds = (Date.parse(upload.expiresAt) - begun) / 1000;
    assert.ok(Math.abs(seconds - 900) < 60, `${seconds} s`);
    for (
      const body of [{ contentType: "image/png", byteLength: 50 * 2 ** 20 + 1 }, {
        contentType: "text/html",
        byteLength: 1,
      }]
    ) {
      await assertProblem(
        await world.send("POST", "/v1/media", { token, body }),
        422,
        "invalid-body",
      );
    }
  }),
);

Deno.test(
  "POST /v1/media/{mediaId}/complete: only what the store holds for its owner is an upload",
  inWorld(async (world) => {
    const [ada, eve] = [await world.signUp("ada"), await world.signUp("eve")];
    const mediaId = await world.upload(ada);
    const complete = (person: Person, id = mediaId) =>
      world.send("POST", `/v1/media/${id}/complete`, { token: person.token });
    await assertProblem(await complete(eve), 422, "media-not-uploaded");
    await assertProblem(await complete(ada, newId()), 422, "media-not-uploaded");
    await assertProblem(await complete(ada, "1"), 404, "not-found");
    const response = await complete(ada);
    assert.equal(response.status, 202);
    assert.deepEqual(await response.json(), { mediaId, status: "processing" });
    const uploaded = (await world.events()).filter(({ type }) => type === "MediaUploaded");
    assert.deepEqual(uploaded.map(({ data }) => data), [{
      mediaId,
      ownerId: ada.id,
      objectKey: originalKey(ada.id, mediaId),
      contentType: "image/jpeg",
      byteLength: 3,
    }]);
  }),
);

Deno.test(
  "posts: created of one's own uploads, changed and deleted by the author alone",
  inWorld(async (world) => {
    const [ada, eve] = [await world.signUp("ada"), await world.signUp("eve")];
    const mediaIds = [await world.upload(ada)];
    const stolen = await world.send("POST", "/v1/posts", { token: eve.token, body: { mediaIds } });
    await assertProblem(stolen, 422, "media-not-uploaded");
    const created = await world.send("POST", "/v1/posts", {
      token: ada.token,
      body: { mediaIds, caption: "Dawn" },
    });
    assert.equal(created.status, 201);
    const { postId } = await created.json();
    const path = `/v1/posts/${postId}`;
    const patch = (person: Person) =>
      world.send("PATCH", path, { token: person.token, body: { caption: "Dusk" } });
    await assertDone(await patch(ada));
    assert.equal(world.waitedFor.length, 1, "the read model was behind, and awaited");
    await assertProblem(await patch(eve), 403, "not-the-author");
    await assertProblem(
      await world.send("DELETE", path, { token: eve.token }),
      403,
      "not-the-author",
    );
    await assertDone(await world.send("DELETE", path, { token: ada.token }));
    await world.catchUp();
    await assertProblem(
      await world.send("DELETE", path, { token: ada.token }),
      404,
      "post-not-found",
    );
    assert.deepEqual(
      (await world.events()).flatMap(({ type, data }) =>
        type === "PostCreated" || type === "CaptionChanged" ? [data.caption] : []
      ),
      ["Dawn", "Dusk"],
    );
  }),
);

Deno.test(
  "posts: what never was is a 404, whether its id could be one or not",
  inWorld(async (world) => {
    const { token } = await world.signUp("ada");
    const body = { caption: "x" };
    const ids = [[newId(), "post-not-found"], ["nonsense", "not-found"], [
      crypto.randomUUID(),
      "not-found",
    ]] as const;
    for (const [id, code] of ids) {
      const response = await world.send("PATCH", `/v1/posts/${id}`, { token, body });
      await assertProblem(response, 404, code);
    }
  }),
);

Deno.test(
  "engagement: likes are a set; comments go by their author or the post's",
  inWorld(async (world) => {
    const [ada, bob, eve] = [
      await world.signUp("ada"),
      await world.signUp("bob"),
      await world.signUp("eve"),
    ];
    const post = `/v1/posts/${await world.post(ada)}`;
    for (const method of ["PUT", "PUT", "DELETE", "DELETE"]) {
      await assertDone(await world.send(method, `${post}/like`, { token: bob.token }));
    }
    const comment = async () => {
      const body = { text: "Lovely light!" };
      const response = await world.send("POST", `${post}/comments`, { token: bob.token, body });
      assert.equal(response.status, 201);
      return `${post}/comments/${(await response.json()).commentId}`;
    };
    const [one, two] = [await comment(), await comment()];
    const remove = (path: string, { token }: Person) => world.send("DELETE", path, { token });
    await assertProblem(await remove(one, eve), 403, "not-the-author");
    await assertDone(await remove(one, bob));
    await assertDone(await remove(two, ada));
    await world.catchUp();
    await assertProblem(await remove(two, ada), 404, "comment-not-found");
    await assertProblem(
      await remove(`${post}/comments/${newId()}`, ada),
      404,
      "comment-not-found",
    );
  }),
);

Deno.test(
  "POST /v1/posts/{postId}/comments: a retry under its key is the same comment",
  inWorld(async (world) => {
    const ada = await world.signUp("ada");
    const path = `/v1/posts/${await world.post(ada)}/comments`;
    const send = (text: string) =>
      world.send("POST", path, {
        token: ada.token,
        body: { text },
        headers: { "Idempotency-Key": "comment-1" },
      });
    const first = await (await send("Hi")).text();
    assert.equal(await (await send("Hi")).text(), first);
    await assertProblem(await send("Ho"), 422, "idempotency-key-reused");
    const comments = (await world.events()).filter(({ type }) => type === "CommentAdded");
    assert.equal(comments.length, 1);
  }),
);

Deno.test(
  "follows and blocks: to others only, ended by a block, and idempotent",
  inWorld(async (world) => {
    const [ada, bob] = [await world.signUp("ada"), await world.signUp("bob")];
    const send = (method: string, from: Person, to: string, what: string) =>
      world.send(method, `/v1/accounts/${to}/${what}`, { token: from.token });
    await assertProblem(await send("PUT", ada, ada.id, "follow"), 422, "self-relation");
    await assertProblem(await send("PUT", ada, newId(), "follow"), 404, "account-not-found");
    for (const method of ["PUT", "PUT", "DELETE", "DELETE", "PUT"]) {
      await assertDone(await send(method, ada, bob.id, "follow"));
    }
    await assertDone(await send("PUT", bob, ada.id, "block"));
    await world.catchUp();
    await assertProblem(await send("PUT", ada, bob.id, "follow"), 403, "blocked");
    await assertProblem(await send("PUT", bob, ada.id, "follow"), 409, "blocking");
    const post = `/v1/posts/${await world.post(bob)}`;
    await assertProblem(
      await world.send("PUT", `${post}/like`, { token: ada.token }),
      403,
      "blocked",
    );
    await assertDone(await send("DELETE", bob, ada.id, "block"));
    await world.catchUp();
    await assertDone(await send("PUT", ada, bob.id, "follow"));
  }),
);

Deno.test(
  "follows: a closed account cannot be followed any more, but let go of",
  inWorld(async (world) => {
    const [ada, bob] = [await world.signUp("ada"), await world.signUp("bob")];
    const path = `/v1/accounts/${bob.id}/follow`;
    await assertDone(await world.send("PUT", path, { token: ada.token }));
    await assertDone(
      await world.send("DELETE", "/v1/me", { token: bob.token, body: { password } }),
    );
    await world.catchUp();
    await assertProblem(
      await world.send("PUT", path, { token: ada.token }),
      404,
      "account-not-found",
    );
    await assertDone(await world.send("DELETE", path, { token: ada.token }));
  }),
);

Deno.test(
  "commands: while the log is away nothing is acknowledged, and a retry happens once",
  inWorld(async (world) => {
    const ada = await world.signUp("ada");
    const mediaIds = [await world.upload(ada)];
    const create = () =>
      world.send("POST", "/v1/posts", {
        token: ada.token,
        body: { mediaIds },
        headers: { "Idempotency-Key": "post-1" },
      });
    const register = () =>
      world.send("POST", "/v1/accounts", {
        body: { handle: "bob", password },
        headers: { "Idempotency-Key": "bob-1" },
      });
    world.logSwitch.down = true;
    for (const response of [await create(), await register()]) {
      assert.match(response.headers.get("retry-after") ?? "", /^\d+$/);
      assert.equal(response.headers.get("position"), null);
      await assertProblem(response, 503, "unavailable");
    }
    world.logSwitch.down = false;
    assert.equal((await create()).status, 201);
    assert.equal((await register()).status, 201);
    assert.deepEqual(
      await eventTypes(world),
      ["AccountRegistered", "AccountRegistered", "PostCreated"],
    );
  }),
);

Deno.test(
  "commands: everything but signing up, in and on needs a token",
  inWorld(async (world) => {
    const id = newId();
    const routes = [
      ["PATCH", "/v1/me"],
      ["DELETE", "/v1/me"],
      ["DELETE", "/v1/sessions"],
      ["POST", "/v1/media"],
      ["POST", `/v1/media/${id}/complete`],
      ["POST", "/v1/posts"],
      ["PATCH", `/v1/posts/${id}`],
      ["DELETE", `/v1/posts/${id}`],
      ["PUT", `/v1/posts/${id}/like`],
      ["DELETE", `/v1/posts/${id}/like`],
      ["POST", `/v1/posts/${id}/comments`],
      ["DELETE", `/v1/posts/${id}/comments/${id}`],
      ["PUT", `/v1/accounts/${id}/follow`],
      ["DELETE", `/v1/accounts/${id}/follow`],
      ["PUT", `/v1/accounts/${id}/block`],
      ["DELETE", `/v1/accounts/${id}/block`],
    ] as const;
    for (const [method, path] of routes) {
      await assertProblem(await world.send(method, path), 401, "unauthenticated");
    }
  }),
);

Deno.test(
  "commands: passwords are tried ten times a minute for an address and handle, in any case",
  inWorld(async (world) => {
    const attempt = (handle: string) =>
      world.send("POST", "/v1/sessions", { body: { handle, password: "a wrong guess" } });
    // A quota of 10, scaled: the first two fail on the password.
    for (const handle of ["ada", "ADA"]) assert.equal((await attempt(handle)).status, 401);
    await assertProblem(await attempt("Ada"), 429, "too-many-requests");
    assert.equal((await attempt("bob")).status, 401);
  }, { rateLimitScale: 0.2 }),
);
