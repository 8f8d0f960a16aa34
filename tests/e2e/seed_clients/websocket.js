// Client-side WebSocket connection
const ws = new WebSocket('wss://your-worker.workers.dev/conversation/user-123');

ws.onopen = () => {
  // Send chat message
  ws.send(JSON.stringify({
    type: 'chat',
    role: 'user',
    content: 'Hello via WebSocket!'
  }));
};

ws.onmessage = (event) => {
  const message = JSON.parse(event.data);
  
  switch (message.type) {
    case 'chat':
      console.log('AI:', message.content);
      break;
    case 'status':
      console.log('Status:', message.status);
      break;
    case 'error':
      console.error('Error:', message.error);
      break;
  }
};
