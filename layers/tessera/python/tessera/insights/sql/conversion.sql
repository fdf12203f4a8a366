-- Of the carts that began on a day, how many came to a checkout.
-- A checkout names its cart, or is that of the session, later on; it may be told up to seven days after the last day.
WITH span AS (
    SELECT CAST(? AS date) AS first_day, CAST(? AS date) AS last_day
), told AS (
    SELECT fact, id, max(name) AS name, max(session) AS session, max(cart) AS cart, max(at_ms) AS at_ms
    FROM facts
    WHERE day BETWEEN ? AND CAST(CAST(CAST(? AS date) + INTERVAL '7' DAY AS date) AS varchar)
        AND fact IN ('cart', 'event') AND name IN ('cart_initialized', 'checkout_started')
    GROUP BY fact, id
), carts AS (
    SELECT cart, min(session) AS session, min(at_ms) AS began_ms
    FROM told
    WHERE name = 'cart_initialized'
    GROUP BY cart
), begun AS (
    SELECT
        cart, session, began_ms,
        CAST(DATE '1970-01-01' + INTERVAL '1' DAY * CAST(floor(began_ms / 86400000.0) AS bigint) AS date) AS began
    FROM carts
), reached AS (
    SELECT cart FROM told WHERE name = 'checkout_started' AND cart IS NOT NULL
    UNION
    SELECT begun.cart
    FROM begun
    JOIN told ON told.session = begun.session AND told.at_ms >= begun.began_ms
    WHERE told.name = 'checkout_started' AND told.cart IS NULL
)
SELECT
    begun.began AS day,
    count(*) AS carts,
    count(reached.cart) AS checkouts,
    round(CAST(count(reached.cart) AS double) / count(*), 4) AS rate
FROM begun
CROSS JOIN span
LEFT JOIN reached ON reached.cart = begun.cart
WHERE begun.began BETWEEN span.first_day AND span.last_day
GROUP BY begun.began
ORDER BY begun.began
