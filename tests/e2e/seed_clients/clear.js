// Clear conversation history
await fetch('/conversation/user-123/clear', {
  method: 'POST'
});
