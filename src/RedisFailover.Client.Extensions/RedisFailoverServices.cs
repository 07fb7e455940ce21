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
    /// Adds a <see cref="FailoverConnection"/>, <see cref="IDatabase"/> and <see cref="ISubscriber"/> as singletons, and a health check named
    /// <see cref="HealthCheckName"/>. The settings are validated, and the connection made, when the host starts; a host whose settings
    /// are wrong, or that finds no cluster within ConnectTimeout, does not start and says why.
    /// </summary>
    /// <param name="services">The host's services.</param>
    /// <param name="configuration">The section that holds <see cref="RedisFailoverSettings"/>; a key that is none of them is an error.</param>
    /// <param name="change">Changes what cannot stand in a configuration: ConfigureNode, PreferNode. Null for nothing.</param>
    public static IServiceCollection AddRedisFailover(
        this IServiceCollection services, IConfiguration configuration, Func<FailoverOptions, FailoverOptions>? change = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentNullException.ThrowIfNull(configuration);
        string section = (configuration as IConfigurationSection)?.Path ?? "";
        services.AddOptions<RedisFailoverSettings>().Bind(configuration, binder => binder.ErrorOnUnknownConfiguration = true).ValidateOnStart();
        services.TryAddEnumerable(ServiceDescriptor.Singleton<IValidateOptions<RedisFailoverSettings>>(new SettingsValidation(section)));
        services.TryAddSingleton(TimeProvider.System);
        services.TryAddSingleton(provider => new FailoverConnector(
            provider.GetRequiredService<IOptions<RedisFailoverSettings>>(),
            provider.GetService<ILoggerFactory>() ?? NullLoggerFactory.Instance,
            provider.GetRequiredService<TimeProvider>(),
            change));
        services.AddSingleton<IHostedService>(provider => provider.GetRequiredService<FailoverConnector>());
        services.TryAddSingleton(provider => provider.GetRequiredService<FailoverConnector>().Connection);
        services.TryAddSingleton(provider => provider.GetRequiredService<FailoverConnection>().GetDatabase());
        services.TryAddSingleton(provider => provider.GetRequiredService<FailoverConnection>().GetSubscriber());
        services.AddHealthChecks().Add(new HealthCheckRegistration(
            HealthCheckName, provider => new RedisFailoverHealthCheck(provider.GetRequiredService<FailoverConnector>()), failureStatus: null, tags: ["ready"]));
        return services;
    }
}
