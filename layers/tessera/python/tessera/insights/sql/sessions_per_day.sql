-- Sessions by the day on which they began, and by kind. A fact may be told up to seven days later.
WITH span AS (
    SELECT CAST(? AS date) AS first_day, CAST(? AS date) AS last_day
), told AS (
    SELECT id, max(name) AS kind, max(customer) AS customer, max(at_ms) AS at_ms
    FROM facts
    WHERE day BETWEEN ? AND CAST(CAST(CAST(? AS date) + INTERVAL '7' DAY AS date) AS varchar) AND fact = 'session'
    GROUP BY id
), begun AS (
    SELECT
        id, kind, customer,
        CAST(DATE '1970-01-01' + INTERVAL '1' DAY * CAST(floor(at_ms / 86400000.0) AS bigint) AS date) AS began
    FROM told
)
SELECT begun.began AS day, begun.kind, count(*) AS sessions, count(begun.customer) AS of_customers
FROM begun
CROSS JOIN span
WHERE begun.began BETWEEN span.first_day AND span.last_day
GROUP BY begun.began, begun.kind
ORDER BY begun.began, begun.kind
