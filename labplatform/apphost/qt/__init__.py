"""All that is Qt's own in an app host: pywebview's Qt windows, made to fit.

The one folder that reaches into pywebview's Qt backend. `environment` must run before anything else here is imported;
`gui` runs the loop, `window` is one app's window, `page` what happens in it, `origin` what it is served from, `chooser`
what lies over it while a person chooses between apps.
"""
