-- The tables of the results database, version 6 (engine.results.database.SCHEMA_VERSION).
-- The database is built from the run folders and can be deleted. Only engine/results/ingest.py writes to it.
-- There are no keys, because ingest replaces all rows of a run in a table, without duplicates.

-- One row: the version of these tables, and a hash of this file, the views and the list of languages.
CREATE TABLE meta (schema_version INTEGER NOT NULL, built_from VARCHAR NOT NULL);

-- The hash of every file that was read, by run, and the sentence that says why its table was left out, or null.
CREATE TABLE ingested (run VARCHAR NOT NULL, file VARCHAR NOT NULL, hash VARCHAR NOT NULL, problem VARCHAR);

-- One row for each run, from its run.json. Times are UTC; process_started is in seconds since 1970.
CREATE TABLE runs (
    id VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    failure VARCHAR,
    argv VARCHAR[],
    config JSON,
    seed BIGINT,
    tags VARCHAR[],
    note VARCHAR,
    summary JSON,
    versions JSON,
    commit VARCHAR,
    host VARCHAR,
    platform VARCHAR,
    device VARCHAR,
    pid BIGINT,
    process_started DOUBLE,
    boot VARCHAR,
    created TIMESTAMP NOT NULL,
    started TIMESTAMP,
    ended TIMESTAMP
);

-- The curves; elapsed is in seconds since the run's start. A diverged value is NaN or infinite, never null.
CREATE TABLE steps (
    run VARCHAR NOT NULL,
    step BIGINT NOT NULL,
    metric VARCHAR NOT NULL,
    value DOUBLE NOT NULL,
    elapsed DOUBLE NOT NULL
);

-- Mean scores; measures are spelled as in ir-measures, low and high are the ends of the mean's interval.
CREATE TABLE scores (
    run VARCHAR NOT NULL,
    collection VARCHAR NOT NULL,
    revision VARCHAR NOT NULL,
    protocol VARCHAR NOT NULL,
    scoring VARCHAR NOT NULL,
    direction VARCHAR NOT NULL,
    query_language VARCHAR NOT NULL,
    document_language VARCHAR NOT NULL,
    measure VARCHAR NOT NULL,
    value DOUBLE NOT NULL,
    low DOUBLE,
    high DOUBLE,
    queries BIGINT NOT NULL
);

CREATE TABLE query_scores (
    run VARCHAR NOT NULL,
    collection VARCHAR NOT NULL,
    revision VARCHAR NOT NULL,
    protocol VARCHAR NOT NULL,
    scoring VARCHAR NOT NULL,
    direction VARCHAR NOT NULL,
    query_language VARCHAR NOT NULL,
    document_language VARCHAR,
    query_id VARCHAR NOT NULL,
    measure VARCHAR NOT NULL,
    value DOUBLE NOT NULL
);

-- The first documents of each ranking; ranks start at one, grade is null if the document was not judged.
CREATE TABLE rankings (
    run VARCHAR NOT NULL,
    collection VARCHAR NOT NULL,
    revision VARCHAR,
    protocol VARCHAR,
    scoring VARCHAR NOT NULL,
    direction VARCHAR NOT NULL,
    query_language VARCHAR NOT NULL,
    query_id VARCHAR NOT NULL,
    rank BIGINT NOT NULL,
    document_id VARCHAR NOT NULL,
    score DOUBLE NOT NULL,
    grade BIGINT
);

-- What topics (ids of queries without the language) have in common. The value of kind "cluster" is the group of
-- topics that depend on each other; a topic without one is alone.
CREATE TABLE topics (
    run VARCHAR NOT NULL,
    collection VARCHAR NOT NULL,
    revision VARCHAR NOT NULL,
    topic VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    value VARCHAR NOT NULL
);

-- Texts of all queries, their relevant documents, and the first ten documents of each ranking.
CREATE TABLE texts (
    run VARCHAR NOT NULL,
    collection VARCHAR NOT NULL,
    revision VARCHAR NOT NULL,
    role VARCHAR NOT NULL, -- query or document
    id VARCHAR NOT NULL,
    language VARCHAR NOT NULL,
    text VARCHAR NOT NULL
);

-- Transport plans; plan and cost are (source tokens, target tokens), entropy is in nats.
CREATE TABLE plans (
    run VARCHAR NOT NULL,
    pair VARCHAR NOT NULL,
    source_language VARCHAR NOT NULL,
    source_text VARCHAR NOT NULL,
    target_text VARCHAR NOT NULL,
    source_tokens VARCHAR[] NOT NULL,
    target_tokens VARCHAR[] NOT NULL,
    plan FLOAT[][] NOT NULL,
    cost FLOAT[][] NOT NULL,
    solver VARCHAR NOT NULL,
    epsilon DOUBLE NOT NULL,
    iterations BIGINT NOT NULL,
    marginal_error DOUBLE NOT NULL,
    converged BOOLEAN NOT NULL,
    value DOUBLE NOT NULL,
    entropy DOUBLE NOT NULL
);

-- The sentence pairs a run used; dropped is an object of counts by reason.
CREATE TABLE bitext (
    run VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    source_language VARCHAR NOT NULL,
    target_language VARCHAR NOT NULL,
    pairs BIGINT NOT NULL,
    dropped JSON NOT NULL,
    hash VARCHAR NOT NULL
);

-- The tries of a run that tunes; settings is a JSON object of the chosen values by dotted key, value the mean of measure
-- over the held-out languages and collections.
CREATE TABLE tries (
    run VARCHAR NOT NULL,
    number BIGINT NOT NULL,
    settings JSON NOT NULL,
    measure VARCHAR NOT NULL,
    value DOUBLE NOT NULL
);

-- The runs of a sweep (run); number is that of the combination, settings a JSON object of its values by dotted key, member
-- the id of the run with these settings and this seed.
CREATE TABLE sweep_runs (
    run VARCHAR NOT NULL,
    number BIGINT NOT NULL,
    seed BIGINT NOT NULL,
    settings JSON NOT NULL,
    member VARCHAR NOT NULL
);

-- The text of each language in pre-training; tokens is the number in one pass over it, probability that of the
-- sampling, share the share that was drawn, unknown the share of unknown pieces.
CREATE TABLE pretraining (
    run VARCHAR NOT NULL,
    language VARCHAR NOT NULL,
    sentences BIGINT NOT NULL,
    held_out BIGINT NOT NULL,
    tokens BIGINT NOT NULL,
    tokens_seen BIGINT NOT NULL,
    epochs DOUBLE NOT NULL,
    share DOUBLE NOT NULL,
    probability DOUBLE NOT NULL,
    pieces_per_word DOUBLE NOT NULL,
    unknown DOUBLE NOT NULL,
    hash VARCHAR NOT NULL
);

-- engine.languages; resource is high (classes 4, 5 of Joshi et al. 2020), medium (3) or low (0 to 2).
CREATE TABLE languages (
    code VARCHAR NOT NULL,
    code3 VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    script VARCHAR NOT NULL,
    family VARCHAR NOT NULL,
    resource_class INTEGER,
    resource VARCHAR,
    xlmr BOOLEAN NOT NULL
);
