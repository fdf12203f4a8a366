-- Of those who saw a variation first on these days, how many came to a completed checkout or form afterwards.
-- Each session or customer counts once, for the variation seen first. A fact may be told up to seven days later.
WITH told AS (
    SELECT
        fact, id, max(name) AS name, max(variation) AS variation,
        max(session) AS session, max(customer) AS customer, max(at_ms) AS at_ms
    FROM facts
    WHERE day BETWEEN ? AND CAST(CAST(CAST(? AS date) + INTERVAL '7' DAY AS date) AS varchar)
        AND (fact = 'exposure' OR (fact = 'step' AND name IN ('checkout_completed', 'finished')))
    GROUP BY fact, id
), exposed AS (
    SELECT
        name AS experiment, coalesce(session, customer) AS unit,
        min_by(variation, at_ms) AS variation, min(at_ms) AS at_ms
    FROM told
    WHERE fact = 'exposure'
    GROUP BY name, coalesce(session, customer)
), completed AS (
    SELECT session AS unit, at_ms FROM told WHERE fact = 'step'
    UNION ALL
    SELECT customer AS unit, at_ms FROM told WHERE fact = 'step' AND customer IS NOT NULL
), reached AS (
    SELECT DISTINCT exposed.experiment, exposed.unit
    FROM exposed
    JOIN completed ON completed.unit = exposed.unit AND completed.at_ms >= exposed.at_ms
)
SELECT
    exposed.experiment,
    exposed.variation,
    count(*) AS exposures,
    count(reached.unit) AS conversions,
    round(CAST(count(reached.unit) AS double) / count(*), 4) AS rate
FROM exposed
LEFT JOIN reached ON reached.experiment = exposed.experiment AND reached.unit = exposed.unit
GROUP BY exposed.experiment, exposed.variation
ORDER BY exposed.experiment, exposed.variation
