// Shows the documents that the page links to with Swagger UI.
const urls = Array.from(document.querySelectorAll('#apis a'), (a) => ({ name: a.dataset.name, url: a.getAttribute('href') }));
if (urls.length > 0) {
  document.getElementById('apis').hidden = true;
  SwaggerUIBundle({
    urls,
    dom_id: '#swagger-ui',
    deepLinking: true,
    validatorUrl: null, // it would send the document to a third party
    presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],
    layout: 'StandaloneLayout',
  });
}
