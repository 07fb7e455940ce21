using NUnit.Framework;

namespace RedisFailover.IntegrationTests.Client;

/// <summary>Runs what must fail; returns the exception.</summary>
internal static class Failing
{
    public static async Task<T> WithAsync<T>(Func<Task> code)
        where T : Exception
    {
        try
        {
            await code();
        }
        catch (T expected)
        {
            return expected;
        }

        throw new AssertionException($"It ended without the {typeof(T).Name} that was expected.");
    }
}
