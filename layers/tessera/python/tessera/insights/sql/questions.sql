-- What users asked most: messages with the same key are one question, shown in its shortest wording.
-- A message may have a megabyte, an answer six: of each the beginning.
SELECT
    min_by(substr(content, 1, 500), length(content)) AS example,
    count(*) AS asked,
    count(DISTINCT session) AS sessions,
    max(CAST(created_at AS date)) AS last_asked,
    question
FROM messages
WHERE day BETWEEN ? AND ? AND question IS NOT NULL
GROUP BY question
ORDER BY asked DESC, sessions DESC, question
LIMIT 100
