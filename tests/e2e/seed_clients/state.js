// Update conversation context
await fetch('/conversation/user-123/state', {
  method: 'PUT',
  body: JSON.stringify({
    userId: 'user-123',
    model: '@cf/openai/gpt-oss-120b',
    context: {
      temperature: 0.7,
      systemPrompt: 'You are a helpful assistant'
    }
  })
});
