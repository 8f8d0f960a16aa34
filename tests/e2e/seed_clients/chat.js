// Client request with conversation ID
const response = await fetch('/api/copilotedge', {
  method: 'POST',
  body: JSON.stringify({
    conversationId: 'user-session-123', // Optional
    messages: [
      { role: 'user', content: 'Hello!' }
    ]
  })
});
