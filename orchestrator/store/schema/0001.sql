-- Users, tokens and sessions; tasks and their assets; blobs; what verification said; events of topics.
-- Constraints hold what the program relies on. Where a later file must have a say (which blobs, tasks and assets are in use),
-- there is a view that it replaces.

CREATE FUNCTION rfc3339(timestamptz) RETURNS text LANGUAGE sql STABLE STRICT AS
$$ SELECT to_char($1 AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') $$;

CREATE DOMAIN name_text AS text CHECK (VALUE ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$');
CREATE DOMAIN digest_text AS text CHECK (VALUE ~ '^[0-9a-f]{64}$');

-- Who may do what ---------------------------------------------------------------------------------------------

CREATE TABLE app_user (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name     name_text NOT NULL UNIQUE,
    role     text NOT NULL CHECK (role IN ('viewer', 'user', 'operator', 'admin')),
    password text, -- argon2id string; NULL: signs in by token only
    created  timestamptz NOT NULL DEFAULT now()
);

-- Only the SHA-256 of a token is kept. A signin token is deleted when it is used.
CREATE TABLE token (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind      text NOT NULL CHECK (kind IN ('bearer', 'signin', 'agent', 'join')),
    name      text NOT NULL CHECK (length(name) <= 200),
    digest    digest_text NOT NULL UNIQUE,
    user_id   bigint REFERENCES app_user ON DELETE CASCADE,
    node      name_text,
    created   timestamptz NOT NULL DEFAULT now(),
    expires   timestamptz,
    CHECK ((kind IN ('bearer', 'signin')) = (user_id IS NOT NULL)),
    CHECK ((kind = 'agent') = (node IS NOT NULL)),
    CHECK (kind <> 'signin' OR expires IS NOT NULL)
);
CREATE UNIQUE INDEX token_one_per_node ON token (node) WHERE kind = 'agent';
CREATE INDEX token_of_user ON token (user_id);

CREATE TABLE session (
    digest  digest_text PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES app_user ON DELETE CASCADE,
    created timestamptz NOT NULL DEFAULT now(),
    expires timestamptz NOT NULL
);
CREATE INDEX session_expires ON session (expires);
CREATE INDEX session_of_user ON session (user_id);

-- The answer to a POST with an Idempotency-Key. Without a status the work is under way in the process named by boot; if that
-- process is gone, it was not done.
CREATE TABLE idempotency_key (
    user_id bigint NOT NULL REFERENCES app_user ON DELETE CASCADE,
    key     text NOT NULL CHECK (length(key) BETWEEN 1 AND 200),
    request digest_text NOT NULL,
    boot    text NOT NULL,
    status  int CHECK (status BETWEEN 200 AND 499),
    type    text,
    place   text, -- the Location header
    body    text,
    created timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, key)
);
CREATE INDEX idempotency_key_created ON idempotency_key (created);

-- Files -------------------------------------------------------------------------------------------------------

-- A row is there before anything refers to the blob and goes before its file goes. touched: last stored or asked for.
CREATE TABLE blob (
    digest  digest_text PRIMARY KEY,
    size    bigint NOT NULL CHECK (size >= 0),
    created timestamptz NOT NULL DEFAULT now(),
    touched timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE upload (
    id       text PRIMARY KEY CHECK (id ~ '^[0-9a-f]{32}$'),
    user_id  bigint NOT NULL REFERENCES app_user ON DELETE CASCADE,
    size     bigint NOT NULL CHECK (size >= 0),
    metadata text NOT NULL DEFAULT '',
    created  timestamptz NOT NULL DEFAULT now(),
    expires  timestamptz NOT NULL
);
CREATE INDEX upload_expires ON upload (expires);
CREATE INDEX upload_of_user ON upload (user_id);

-- Tasks and assets --------------------------------------------------------------------------------------------

CREATE TABLE task (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        name_text NOT NULL UNIQUE,
    description text NOT NULL DEFAULT '' CHECK (length(description) <= 10000),
    type        text NOT NULL CHECK (type IN ('classification', 'regression', 'language-model', 'other')),
    owner       bigint NOT NULL REFERENCES app_user,
    labels      text[] NOT NULL DEFAULT '{}' CHECK (cardinality(labels) <= 32 AND array_position(labels, NULL) IS NULL),
    created     timestamptz NOT NULL DEFAULT now(),
    updated     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX task_owner ON task (owner, name);

-- A version number is never given twice, even after a delete.
CREATE TABLE asset_name (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    task_id      bigint NOT NULL REFERENCES task ON DELETE CASCADE,
    kind         text NOT NULL CHECK (kind IN ('dataset', 'algorithm', 'layer', 'model')),
    name         name_text NOT NULL,
    last_version int NOT NULL CHECK (last_version >= 0),
    UNIQUE (task_id, kind, name),
    UNIQUE (id, task_id, kind, name)
);

CREATE TABLE asset (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name_id       bigint NOT NULL,
    task_id       bigint NOT NULL,
    kind          text NOT NULL,
    name          text NOT NULL,
    version       int NOT NULL CHECK (version > 0),
    description   text NOT NULL DEFAULT '' CHECK (length(description) <= 10000),
    metadata      jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(metadata) = 'object'),
    digest        digest_text NOT NULL REFERENCES blob,
    size          bigint NOT NULL CHECK (size >= 0),
    packed_digest digest_text REFERENCES blob,
    packed_size   bigint CHECK (packed_size >= 0),
    verification  json NOT NULL, -- as the trainer prints it
    created       timestamptz NOT NULL DEFAULT now(),
    created_by    bigint NOT NULL REFERENCES app_user,
    FOREIGN KEY (name_id, task_id, kind, name) REFERENCES asset_name (id, task_id, kind, name) ON DELETE CASCADE,
    UNIQUE (task_id, kind, name, version),
    CHECK ((kind = 'dataset') = (packed_digest IS NOT NULL)),
    CHECK ((packed_digest IS NULL) = (packed_size IS NULL)),
    CHECK ((verification ->> 'ok') = 'true')
);
CREATE UNIQUE INDEX asset_same_bytes ON asset (name_id, digest, md5(metadata::text));
CREATE INDEX asset_digest ON asset (digest);
CREATE INDEX asset_packed ON asset (packed_digest) WHERE packed_digest IS NOT NULL;

-- What a verification said of these bytes, under these circumstances (options and layers), by this trainer.
CREATE TABLE verification (
    digest        digest_text NOT NULL,
    kind          text NOT NULL CHECK (kind IN ('dataset', 'algorithm', 'layer', 'model', 'fit')),
    context       digest_text NOT NULL,
    trainer       text NOT NULL,
    result        json NOT NULL,
    packed_digest digest_text REFERENCES blob ON DELETE CASCADE,
    packed_size   bigint,
    created       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (digest, kind, context, trainer)
);
CREATE INDEX verification_created ON verification (created);
CREATE INDEX verification_packed ON verification (packed_digest) WHERE packed_digest IS NOT NULL;

-- Topics whose events the database counts (task/T, queue, nodes) ------------------------------------------------

CREATE TABLE topic (
    name text PRIMARY KEY,
    seq  bigint NOT NULL CHECK (seq >= 0)
);
CREATE TABLE event (
    topic text NOT NULL REFERENCES topic ON DELETE CASCADE,
    seq   bigint NOT NULL CHECK (seq > 0),
    at    timestamptz NOT NULL DEFAULT now(),
    data  json NOT NULL,
    PRIMARY KEY (topic, seq)
);
CREATE INDEX event_at ON event (at);

-- The next event of a topic; its number.
CREATE FUNCTION topic_event(topic_name text, event_data json) RETURNS bigint LANGUAGE sql AS
$$
    WITH next AS (
        INSERT INTO topic (name, seq) VALUES (topic_name, 1)
        ON CONFLICT (name) DO UPDATE SET seq = topic.seq + 1 RETURNING seq
    )
    INSERT INTO event (topic, seq, data) SELECT topic_name, next.seq, event_data FROM next RETURNING seq
$$;

-- What later files have a say in ------------------------------------------------------------------------------

CREATE VIEW blob_reference (digest) AS
    SELECT digest::text FROM asset UNION ALL SELECT packed_digest::text FROM asset WHERE packed_digest IS NOT NULL;
CREATE VIEW task_busy (task_id, job) AS SELECT NULL::bigint, NULL::bigint WHERE false;   -- a job of the task is not over
CREATE VIEW asset_busy (asset_id, job) AS SELECT NULL::bigint, NULL::bigint WHERE false; -- a job refers to the asset
CREATE VIEW task_instances (task_id, instances) AS SELECT NULL::bigint, NULL::bigint WHERE false;
