-- Carts that began in the span and came to no purchase, the oldest first; their age is in days, on the last day.
-- A purchase names its cart, or is that of the session, later on; it may be told up to seven days after the last day.
WITH span AS (
    SELECT CAST(? AS date) AS first_day, CAST(? AS date) AS last_day
), told AS (
    SELECT fact, id, max(name) AS name, max(session) AS session, max(cart) AS cart, max(at_ms) AS at_ms
    FROM facts
    WHERE day BETWEEN ? AND CAST(CAST(CAST(? AS date) + INTERVAL '7' DAY AS date) AS varchar)
        AND fact IN ('cart', 'event')
    GROUP BY fact, id
), carts AS (
    SELECT
        cart,
        min(session) AS session,
        min(CASE WHEN name = 'cart_initialized' THEN at_ms END) AS began_ms,
        count(CASE WHEN name = 'item_added' THEN id END) AS added,
        count(CASE WHEN name = 'item_removed' THEN id END) AS removed
    FROM told
    WHERE fact = 'cart'
    GROUP BY cart
), begun AS (
    SELECT
        cart, session, began_ms, added, removed,
        CAST(DATE '1970-01-01' + INTERVAL '1' DAY * CAST(floor(began_ms / 86400000.0) AS bigint) AS date) AS began
    FROM carts
    WHERE began_ms IS NOT NULL
), reached AS (
    SELECT cart, name FROM told WHERE fact = 'event' AND cart IS NOT NULL
    UNION
    SELECT begun.cart, told.name
    FROM begun
    JOIN told ON told.session = begun.session AND told.at_ms >= begun.began_ms
    WHERE told.fact = 'event' AND told.cart IS NULL
), furthest AS (
    SELECT
        cart,
        count(CASE WHEN name = 'checkout_started' THEN 1 END) AS started,
        count(CASE WHEN name = 'checkout_completed' THEN 1 END) AS completed
    FROM reached
    GROUP BY cart
)
SELECT
    begun.cart,
    begun.session,
    begun.began,
    date_diff('day', begun.began, span.last_day) AS age_days,
    begun.added,
    begun.removed,
    coalesce(furthest.started, 0) > 0 AS checkout_started
FROM begun
CROSS JOIN span
LEFT JOIN furthest ON furthest.cart = begun.cart
WHERE begun.began BETWEEN span.first_day AND span.last_day AND coalesce(furthest.completed, 0) = 0
ORDER BY begun.began_ms, begun.cart
LIMIT 1000
