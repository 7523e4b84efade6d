// Starts Swagger UI on the daemon's own document. Nothing is asked of any other server.
window.SwaggerUIBundle({
  url: '/openapi.json',
  dom_id: '#docs',
  deepLinking: true,
  validatorUrl: null,
  // A session of the companion page, when there is one, may command only what says that it means to.
  requestInterceptor: (request) => {
    request.headers['X-Weir'] = '1';
    return request;
  },
});
