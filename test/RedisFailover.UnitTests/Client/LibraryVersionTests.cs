using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.Loader;
using NUnit.Framework;
using RedisFailover.Client;

namespace RedisFailover.UnitTests.Client;

/// <summary>The client with versions of StackExchange.Redis that an application may bring; the project file fetches them.</summary>
[TestFixture]
public sealed class LibraryVersionTests
{
    private static readonly string Packages = Environment.GetEnvironmentVariable("NUGET_PACKAGES")
        ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");

    /// <summary>Every member of a version that the dependency allows is there, or a method that calls it cannot be prepared.</summary>
    [TestCase("3.4.35")]
    public void Every_type_and_method_loads_with(string version)
    {
        Assembly client = LoadWith(version);
        foreach (Type type in client.GetTypes().Where(type => !type.ContainsGenericParameters))
        {
            foreach (MethodBase method in type.GetMembers(BindingFlags.DeclaredOnly | BindingFlags.Public | BindingFlags.NonPublic
                | BindingFlags.Instance | BindingFlags.Static).OfType<MethodBase>()
                .Where(method => method is { IsAbstract: false, ContainsGenericParameters: false }))
            {
                RuntimeHelpers.PrepareMethod(method.MethodHandle);
            }
        }
    }

    [TestCase("3.2.15")]
    public void Another_one_is_named_in_the_exception(string version)
    {
        Type connection = LoadWith(version).GetType(typeof(FailoverConnection).FullName!, throwOnError: true)!;
        MethodInfo connect = connection.GetMethod(nameof(FailoverConnection.ConnectAsync), BindingFlags.Public | BindingFlags.Static)!;

        Assert.That(
            () => connect.Invoke(null, ["127.0.0.1:1", null, CancellationToken.None]),
            Throws.TargetInvocationException.With.InnerException.TypeOf<NotSupportedException>()
                .And.InnerException.Message.Contains("needs StackExchange.Redis 3.4.35 or later, below 3.5")
                .And.InnerException.Message.Contains("has loaded " + version));
    }

    private static Assembly LoadWith(string version)
        => new Context(Path.Combine(Packages, "stackexchange.redis", version, "lib"))
            .LoadFromAssemblyPath(typeof(FailoverConnection).Assembly.Location);

    private sealed class Context(string folder) : AssemblyLoadContext
    {
        protected override Assembly? Load(AssemblyName name) => name.Name != "StackExchange.Redis" ? null
            : LoadFromAssemblyPath(new[] { "net10.0", "net8.0" }
                .Select(framework => Path.Combine(folder, framework, "StackExchange.Redis.dll")).First(File.Exists));
    }
}
