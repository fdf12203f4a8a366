-- How long conversations are: how many have how many messages in the span.
WITH counted AS (
    SELECT conversation, count(*) AS messages, count(CASE WHEN role = 'user' THEN 1 END) AS by_users
    FROM messages
    WHERE day BETWEEN ? AND ?
    GROUP BY conversation
), sized AS (
    SELECT
        messages,
        by_users,
        CASE
            WHEN messages <= 1 THEN 1
            WHEN messages <= 5 THEN 2
            WHEN messages <= 10 THEN 6
            WHEN messages <= 20 THEN 11
            WHEN messages <= 50 THEN 21
            WHEN messages <= 100 THEN 51
            ELSE 101
        END AS at_least
    FROM counted
)
SELECT
    at_least,
    count(*) AS conversations,
    sum(messages) AS messages,
    round(avg(CAST(messages AS double)), 2) AS average,
    round(avg(CAST(by_users AS double)), 2) AS average_by_users
FROM sized
GROUP BY at_least
ORDER BY at_least
