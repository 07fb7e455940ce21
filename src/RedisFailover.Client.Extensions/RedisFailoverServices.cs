using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using StackExchange.Redis;

namespace RedisFailover.Client.Extensions;

/// <summary>The client in a host's container.</summary>
public static class RedisFailoverServices
{
    /// <summary>The name of the health check.</summary>
    public const string HealthCheckName = "redis-failover";

    /// <summary>
    /// Adds a <see cref="FailoverConnection"/>, <see cref="IConnectionMultiplexer"/>, <see cref="IDatabase"/> and
    /// <see cref="ISubscriber"/> as
    /// singletons, and a health check named <see cref="HealthCheckName"/>. The settings are validated, and the connection made, when the
    /// host starts, or when one of them is asked for before that; a host whose settings are wrong, or that finds no cluster within
    /// ConnectTimeout, does not start and says why.
    /// </summary>
    /// <param name="services">The host's services.</param>
    /// <param name="configuration">The section that holds <see cref="RedisFailoverSettings"/>; a key that is none of them is an
    /// error.</param>
    /// <param name="change">Changes what cannot stand in a configuration: ConfigureNode, PreferNode. Null for nothing.</param>
    public static IServiceCollection AddRedisFailover(
        this IServiceCollection services, IConfiguration configuration, Func<FailoverOptions, FailoverOptions>? change = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        if (services.Any(service => service.ServiceType == typeof(FailoverConnector) && !service.IsKeyedService))
        {
            return services;
        }

        services.AddConnector(null, configuration, change);
        services.TryAddSingleton(provider => provider.GetRequiredService<FailoverConnector>().Connection);
        services.TryAddSingleton(provider => provider.GetRequiredService<FailoverConnection>().AsMultiplexer());
        services.TryAddSingleton(provider => provider.GetRequiredService<FailoverConnection>().GetDatabase());
        services.TryAddSingleton(provider => provider.GetRequiredService<FailoverConnection>().GetSubscriber());
        return services;
    }

    /// <summary>
    /// The same for one of several clusters: the services are keyed by its name, [FromKeyedServices("name")], and so is the health check:
    /// "redis-failover-name".
    /// </summary>
    /// <param name="services">The host's services.</param>
    /// <param name="name">The key.</param>
    /// <param name="configuration">The section that holds <see cref="RedisFailoverSettings"/>; a key that is none of them is an
    /// error.</param>
    /// <param name="change">Changes what cannot stand in a configuration: ConfigureNode, PreferNode. Null for nothing.</param>
    public static IServiceCollection AddRedisFailover(
        this IServiceCollection services, string name, IConfiguration configuration, Func<FailoverOptions, FailoverOptions>? change = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentException.ThrowIfNullOrEmpty(name);
        if (services.Any(service => service.ServiceType == typeof(FailoverConnector) && name.Equals(service.ServiceKey)))
        {
            return services;
        }

        services.AddConnector(name, configuration, change);
        services.AddKeyedSingleton(name, (provider, key) => provider.GetRequiredKeyedService<FailoverConnector>(key).Connection);
        services.AddKeyedSingleton(name, (provider, key) => provider.GetRequiredKeyedService<FailoverConnection>(key).AsMultiplexer());
        services.AddKeyedSingleton(name, (provider, key) => provider.GetRequiredKeyedService<FailoverConnection>(key).GetDatabase());
        services.AddKeyedSingleton(name, (provider, key) => provider.GetRequiredKeyedService<FailoverConnection>(key).GetSubscriber());
        return services;
    }

    private static void AddConnector(
        this IServiceCollection services, string? name, IConfiguration configuration, Func<FailoverOptions, FailoverOptions>? change)
    {
        ArgumentNullException.ThrowIfNull(configuration);
        string section = (configuration as IConfigurationSection)?.Path ?? "";
        string options = name ?? Options.DefaultName;
        services.AddOptions<RedisFailoverSettings>(options).Bind(configuration, binder => binder.ErrorOnUnknownConfiguration = true)
            .ValidateOnStart();
        services.AddSingleton<IValidateOptions<RedisFailoverSettings>>(new SettingsValidation(options, section));
        services.TryAddSingleton(TimeProvider.System);
        FailoverConnector Connector(IServiceProvider provider) => name is null
            ? provider.GetRequiredService<FailoverConnector>() : provider.GetRequiredKeyedService<FailoverConnector>(name);
        FailoverConnector Make(IServiceProvider provider) => new(
            () => provider.GetRequiredService<IOptionsMonitor<RedisFailoverSettings>>().Get(options),
            provider.GetService<ILoggerFactory>() ?? NullLoggerFactory.Instance,
            provider.GetRequiredService<TimeProvider>(),
            change);
        if (name is null)
        {
            services.AddSingleton(Make);
        }
        else
        {
            services.AddKeyedSingleton(name, (provider, _) => Make(provider));
        }

        services.AddSingleton<IHostedService>(Connector);
        services.AddHealthChecks().Add(new HealthCheckRegistration(
            name is null ? HealthCheckName : $"{HealthCheckName}-{name}", provider
                => new RedisFailoverHealthCheck(Connector(provider)), failureStatus: null, tags: ["ready"]));
    }
}
