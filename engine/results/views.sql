-- Views for users. Values are combined only if collection, revision, protocol, scoring, direction and measure
-- are equal. A language that is not in the table of languages keeps its row, with nulls.

-- The newest run of each name.
CREATE VIEW latest AS
SELECT * FROM runs
QUALIFY row_number() OVER (PARTITION BY name ORDER BY created DESC, id DESC) = 1;

-- Every mean score with its run and its language. For English queries (en-xx) this is the language of the
-- documents, so that such a collection has one row for each document language.
CREATE VIEW per_language AS
SELECT
    scores.*,
    scores_language.language,
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
JOIN runs ON runs.id = scores.run,
LATERAL (
    SELECT CASE scores.direction WHEN 'en-xx' THEN scores.document_language ELSE scores.query_language END
        AS language
) AS scores_language
LEFT JOIN languages ON languages.code = scores_language.language;

-- The revision, or one hash of several revisions.
CREATE MACRO one_revision(revisions) AS
    CASE len(revisions) WHEN 1 THEN revisions[1]
    ELSE left(md5(array_to_string(list_sort(revisions), ' ')), 12) END;

-- The languages, or the beginning of the list and a hash of it if there are many.
CREATE MACRO language_set(codes) AS
    CASE WHEN len(codes) <= 12 THEN array_to_string(list_sort(codes), ' ')
    ELSE array_to_string(list_sort(codes)[1:4], ' ') || ' … ' || len(codes) || ' '
        || left(md5(array_to_string(list_sort(codes), ' ')), 8) END;

-- Means over languages, best first. Rows are ranked together only if collection, revision (with the sample or
-- limit), protocol, scoring, direction, measure and the set of languages are equal: `place` counts from one in
-- each such table. A collection with a pool for each language has a revision for each pool.
CREATE VIEW leaderboard AS
SELECT *, rank() OVER (
    PARTITION BY collection, revision, protocol, scoring, direction, measure, language_set ORDER BY value DESC
) AS place
FROM (
    SELECT
        run,
        name,
        collection,
        one_revision(list(DISTINCT revision)) AS revision,
        protocol,
        scoring,
        direction,
        measure,
        avg(value) AS value,
        count(DISTINCT language) AS languages,
        language_set(list(DISTINCT language)) AS language_set,
        sum(queries)::BIGINT AS queries
    FROM per_language
    GROUP BY run, name, collection, protocol, scoring, direction, measure
)
ORDER BY collection, revision, protocol, scoring, direction, measure, language_set, place, run;

-- Means over high- and over low-resource languages, and their difference.
CREATE VIEW high_low_gap AS
SELECT
    run,
    name,
    collection,
    one_revision(list(DISTINCT revision)) AS revision,
    protocol,
    scoring,
    direction,
    measure,
    avg(value) FILTER (resource = 'high') AS high_resource,
    avg(value) FILTER (resource = 'low') AS low_resource,
    high_resource - low_resource AS gap,
    count(DISTINCT language) FILTER (resource = 'high') AS high_languages,
    count(DISTINCT language) FILTER (resource = 'low') AS low_languages,
    language_set(list(DISTINCT language)) AS language_set
FROM per_language
GROUP BY run, name, collection, protocol, scoring, direction, measure
ORDER BY collection, revision, protocol, scoring, direction, measure, language_set, gap, run;
