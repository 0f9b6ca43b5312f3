// GraphiQL for the component that serves this page.
ReactDOM.render(
  React.createElement(GraphiQL, {
    fetcher: GraphiQL.createFetcher({ url: location.pathname }),
    shouldPersistHeaders: false,
  }),
  document.getElementById("graphiql"),
);
