-- Views for people. Figures meet only where collection, revision, protocol, scoring, direction and measure
-- agree; a language that the table of languages lacks keeps its row, with nulls.

-- The newest run of each name.
CREATE VIEW latest AS
SELECT * FROM runs
QUALIFY row_number() OVER (PARTITION BY name ORDER BY created DESC, id DESC) = 1;

-- Every mean score with its run and its query language.
CREATE VIEW per_language AS
SELECT
    scores.*,
    runs.name,
    runs.kind,
    runs.state,
    runs.created,
    languages.name AS language_name,
    languages.script,
    languages.family,
    languages.resource_class,
    languages.resource,
    languages.xlmr
FROM scores
JOIN runs ON runs.id = scores.run
LEFT JOIN languages ON languages.code = scores.query_language;

-- Means over query languages, best first; compare rows only where `languages` agrees.
CREATE VIEW leaderboard AS
SELECT
    run,
    name,
    collection,
    revision,
    protocol,
    scoring,
    direction,
    measure,
    avg(value) AS value,
    count(DISTINCT query_language) AS languages,
    sum(queries)::BIGINT AS queries
FROM per_language
GROUP BY ALL
ORDER BY collection, revision, protocol, scoring, direction, measure, value DESC, run;

-- Means over high- and over low-resource languages, and their difference.
CREATE VIEW high_low_gap AS
SELECT
    run,
    name,
    collection,
    revision,
    protocol,
    scoring,
    direction,
    measure,
    avg(value) FILTER (resource = 'high') AS high_resource,
    avg(value) FILTER (resource = 'low') AS low_resource,
    high_resource - low_resource AS gap,
    count(DISTINCT query_language) FILTER (resource = 'high') AS high_languages,
    count(DISTINCT query_language) FILTER (resource = 'low') AS low_languages
FROM per_language
GROUP BY run, name, collection, revision, protocol, scoring, direction, measure
ORDER BY collection, revision, protocol, scoring, direction, measure, gap, run;
