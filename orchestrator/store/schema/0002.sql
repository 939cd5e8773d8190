-- Jobs, their attempts, events, records and artifacts; nodes and partitions.

CREATE TABLE node (
    name         name_text PRIMARY KEY,
    cores        int NOT NULL CHECK (cores >= 0),
    memory_bytes bigint NOT NULL CHECK (memory_bytes >= 0),
    gpus         json NOT NULL DEFAULT '[]',
    hostname     text NOT NULL DEFAULT '',
    version      text NOT NULL DEFAULT '',
    drained      boolean NOT NULL DEFAULT false,
    reason       text NOT NULL DEFAULT '',
    last_seen    timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE partition (
    name     name_text PRIMARY KEY,
    is_default boolean NOT NULL DEFAULT false,
    max_time_seconds bigint CHECK (max_time_seconds > 0)
);
CREATE UNIQUE INDEX partition_one_default ON partition (is_default) WHERE is_default;
INSERT INTO partition (name, is_default) VALUES ('default', true);

-- Ids are given by the orchestrator (one writer), so that a job is known before its row is committed.
CREATE TABLE job (
    id          bigint PRIMARY KEY CHECK (id > 0),
    kind        text NOT NULL CHECK (kind IN ('train', 'batch')),
    owner       bigint NOT NULL REFERENCES app_user,
    task_id     bigint REFERENCES task,
    name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    spec        json NOT NULL, -- what was asked for; never changes
    state       text NOT NULL CHECK (state IN ('PENDING', 'STARTING', 'RUNNING', 'COMPLETING', 'COMPLETED', 'FAILED', 'CANCELLED', 'TIMEOUT',
                                               'NODE_FAIL', 'OUT_OF_MEMORY', 'DEADLINE')),
    held        boolean NOT NULL DEFAULT false,
    priority    bigint NOT NULL DEFAULT 0,
    attempt     int NOT NULL DEFAULT 0 CHECK (attempt >= 0),
    event_seq   int NOT NULL CHECK (event_seq > 0),
    allocation  json,  -- [{"node","ranks","cores"}] while it holds one
    nodes       text[] NOT NULL DEFAULT '{}', -- of the latest attempt
    stopping    text NOT NULL DEFAULT '', -- why it is being ended: cancel, timeout, preempt
    submitted   double precision NOT NULL, -- seconds since 1970
    started     double precision,
    ended       double precision,
    exit_code   int,
    signal      int,
    failure     json,
    progress    json,
    CHECK ((state IN ('STARTING', 'RUNNING', 'COMPLETING')) = (allocation IS NOT NULL)),
    CHECK ((state IN ('PENDING', 'STARTING', 'RUNNING', 'COMPLETING')) = (ended IS NULL)),
    CHECK (allocation IS NULL OR attempt > 0),
    CHECK (kind <> 'train' OR task_id IS NOT NULL)
);
CREATE INDEX job_not_over ON job (id) WHERE ended IS NULL;
CREATE INDEX job_owner ON job (owner, id);
CREATE INDEX job_task ON job (task_id, id);

-- Which assets a job uses: they can't be deleted while it is there.
CREATE TABLE job_asset (
    job_id   bigint NOT NULL REFERENCES job ON DELETE CASCADE,
    asset_id bigint NOT NULL REFERENCES asset,
    PRIMARY KEY (job_id, asset_id)
);
CREATE INDEX job_asset_asset ON job_asset (asset_id);

-- The log from which a job's state follows. job: the job as the outside saw it after the event.
CREATE TABLE job_event (
    job_id  bigint NOT NULL REFERENCES job ON DELETE CASCADE,
    seq     int NOT NULL CHECK (seq > 0),
    at      double precision NOT NULL,
    event   text NOT NULL,
    "from"  text,
    "to"    text NOT NULL,
    attempt int NOT NULL,
    detail  json NOT NULL,
    job     json NOT NULL,
    PRIMARY KEY (job_id, seq)
);

CREATE TABLE attempt (
    job_id      bigint NOT NULL REFERENCES job ON DELETE CASCADE,
    fence       int NOT NULL CHECK (fence > 0),
    allocation  json NOT NULL,
    placed      double precision NOT NULL,
    over        boolean NOT NULL DEFAULT false,
    resume_step bigint, -- it went on from this step of an earlier attempt
    PRIMARY KEY (job_id, fence)
);
CREATE UNIQUE INDEX attempt_one_live ON attempt (job_id) WHERE NOT over;

-- Lines of the attempt's append-only files, by line number from 1.
CREATE TABLE metric (
    job_id bigint NOT NULL, fence int NOT NULL, line bigint NOT NULL CHECK (line > 0), record json NOT NULL,
    PRIMARY KEY (job_id, fence, line), FOREIGN KEY (job_id, fence) REFERENCES attempt ON DELETE CASCADE
);
CREATE TABLE log_line (
    job_id bigint NOT NULL, fence int NOT NULL, line bigint NOT NULL CHECK (line > 0), record json NOT NULL,
    PRIMARY KEY (job_id, fence, line), FOREIGN KEY (job_id, fence) REFERENCES attempt ON DELETE CASCADE
);

CREATE TABLE artifact (
    job_id  bigint NOT NULL, fence int NOT NULL,
    name    text NOT NULL CHECK (length(name) BETWEEN 1 AND 255),
    kind    text NOT NULL CHECK (kind IN ('artifact', 'checkpoint')),
    digest  digest_text NOT NULL REFERENCES blob,
    size    bigint NOT NULL CHECK (size >= 0),
    created timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (job_id, fence, name), FOREIGN KEY (job_id, fence) REFERENCES attempt ON DELETE CASCADE
);
CREATE INDEX artifact_digest ON artifact (digest);

-- Digests that jobs need beside those of assets (scripts).
CREATE TABLE job_blob (
    job_id bigint NOT NULL REFERENCES job ON DELETE CASCADE,
    digest digest_text NOT NULL REFERENCES blob,
    PRIMARY KEY (job_id, digest)
);
CREATE INDEX job_blob_digest ON job_blob (digest);

CREATE OR REPLACE VIEW blob_reference (digest) AS
    SELECT digest::text FROM asset UNION ALL SELECT packed_digest::text FROM asset WHERE packed_digest IS NOT NULL
    UNION ALL SELECT digest::text FROM artifact UNION ALL SELECT digest::text FROM job_blob;
CREATE OR REPLACE VIEW task_busy (task_id, job) AS SELECT task_id, id FROM job WHERE task_id IS NOT NULL AND ended IS NULL;
CREATE OR REPLACE VIEW asset_busy (asset_id, job) AS SELECT asset_id, job_id FROM job_asset;
CREATE OR REPLACE VIEW task_instances (task_id, instances) AS
    SELECT task_id, count(*) FROM job WHERE kind = 'train' AND task_id IS NOT NULL GROUP BY task_id;
