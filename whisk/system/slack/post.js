// Posts a message to an incoming webhook of Slack.
async function main ({ url, username, channel, text, icon_emoji, icon_url, as_user, attachments }) {
  if (!url) return { error: "Please provide the URL of an incoming webhook as 'url'." };
  if (!text && !attachments) return { error: "Please provide 'text' or 'attachments'." };
  const message = { username, channel, text, icon_emoji, icon_url, as_user, attachments };
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(message),
  });
  const body = await response.text();
  return response.ok ? { response: body } : { error: `Slack answered ${response.status}: ${body}` };
}
